"""Configurations: what a file becomes, with the environment and the files beside it."""

from pathlib import Path

import pytest

from sluicegate import TransferOptions
from sluicegate.gateway.config import (
    Config,
    ConfigError,
    GatewayConfig,
    RouteConfig,
    StoreConfig,
    TransfersConfig,
    UpstreamConfig,
    load_config,
    parse_config,
)
from sluicegate.gateway.routes import ObjectTemplate, RouteTemplate, UpstreamTemplate

from .config_texts import ENVIRON, EXAMPLE, s3, store


def test_file_becomes_frozen_values() -> None:
    assert parse_config(EXAMPLE, ENVIRON) == Config(
        stores={
            "images": StoreConfig(
                name="images",
                url="s3://images",
                client="obstore",
                endpoint_url="http://127.0.0.1:9000",
                region="us-east-1",
                access_key_id="id",
                secret_access_key="very-secret",
                tls_verify=True,
            )
        },
        routes=(
            RouteConfig(
                path=RouteTemplate.parse("/tasks/{task_id:int}/image"),
                target=ObjectTemplate.parse("images:test/{task_id}/image.jpg"),
                media_type="image/jpeg",
                summary="Download Image",
            ),
            RouteConfig(
                path=RouteTemplate.parse("/tasks/{task_id:int}/bytes/{size:int}"),
                target=UpstreamConfig(
                    template=UpstreamTemplate.parse("http://httpbin.org/stream-bytes/{size}"),
                ),
                summary="Download bytes",
            ),
            RouteConfig(
                path=RouteTemplate.parse("/files/{key:path}"),
                target=ObjectTemplate.parse("images:{key}"),
                disposition="attachment",
            ),
        ),
        gateway=GatewayConfig(denied_status=404, title="Sluicegate", openapi=True),
    )


def test_every_key_of_a_route_and_of_the_gateway_is_read() -> None:
    text = """
        [gateway]
        denied_status = 403
        title = "Files"
        openapi = false

        [[routes]]
        path = "/docs"
        upstream = "https://example.com/{none}?token=t"
        media_type = 'text/plain; charset="utf-8"'
        summary = "One"
        description = "Two"
        filename = "日本語.txt"
        cache_control = "max-age=60"
        connect_timeout = 1
        read_timeout = 2.5
        tls_verify = false
        headers = { X-Frame-Options = "DENY" }
        request_headers = { Authorization = "Bearer t" }
    """.replace("{none}", "a")
    upstream = UpstreamConfig(
        template=UpstreamTemplate.parse("https://example.com/a?token=t"),
        connect_timeout=1.0,
        read_timeout=2.5,
        tls_verify=False,
        request_headers=(("authorization", "Bearer t"),),
    )
    documented = RouteConfig(
        path=RouteTemplate.parse("/docs"),
        target=upstream,
        media_type='text/plain; charset="utf-8"',
        summary="One",
        description="Two",
        filename="日本語.txt",
        disposition="attachment",
        cache_control="max-age=60",
        headers=(("x-frame-options", "DENY"),),
    )
    assert parse_config(text, {}) == Config(
        stores={},
        routes=(documented,),
        gateway=GatewayConfig(denied_status=403, title="Files", openapi=False),
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            [
                'url = "s3://bucket/some/prefix/"',
                'client = "botocore"',
                'session_token = "t"',
                'access_key_id = "i"',
                'secret_access_key = "k"',
                'addressing = "virtual"',
                "tls_verify = false",
                "connect_timeout = 0.5",
                "read_timeout = 120",
            ],
            StoreConfig(
                name="s",
                url="s3://bucket/some/prefix/",
                client="botocore",
                access_key_id="i",
                secret_access_key="k",
                session_token="t",
                addressing="virtual",
                tls_verify=False,
                connect_timeout=0.5,
                read_timeout=120.0,
            ),
            id="s3",
        ),
        pytest.param(
            ['url = "s3://bucket"', 'profile = "work"'],
            StoreConfig(name="s", url="s3://bucket", profile="work"),
            id="s3-profile",
        ),
        pytest.param(
            ['url = "gs://bucket"', "anonymous = true"],
            StoreConfig(name="s", url="gs://bucket", anonymous=True),
            id="gs",
        ),
        pytest.param(
            ['url = "az://container"', 'account_name = "a"', 'account_key = "k"'],
            StoreConfig(name="s", url="az://container", account_name="a", account_key="k"),
            id="az-key",
        ),
        pytest.param(
            ['url = "az://container"', 'account_name = "a"', 'sas_token = "t"'],
            StoreConfig(name="s", url="az://container", account_name="a", sas_token="t"),
            id="az-token",
        ),
        pytest.param(
            ['url = "memory://"', 'client = "obstore"'], StoreConfig(name="s", url="memory://"), id="memory"
        ),
    ],
)
def test_each_kind_of_store_takes_its_own_options(lines: list[str], expected: StoreConfig) -> None:
    assert parse_config(store(*lines), {}).stores == {"s": expected}


@pytest.mark.parametrize(
    ("written", "region"),
    [
        pytest.param("${AWS_ACCESS_KEY_ID}", "id", id="set"),
        pytest.param("x-${AWS_ACCESS_KEY_ID}-${UNSET:-y}", "x-id-y", id="inside-text"),
        pytest.param("${UNSET:-eu-west-1}", "eu-west-1", id="default"),
        pytest.param("${EMPTY:-eu-west-1}", "eu-west-1", id="default-for-empty"),
        pytest.param("${EMPTY}", None, id="empty-is-absent"),
        pytest.param("${UNSET:-}", None, id="empty-default-is-absent"),
        pytest.param("${EMPTY}${UNSET:-}", None, id="two-empty-are-absent"),
    ],
)
def test_reference_to_the_environment_is_replaced(written: str, region: str | None) -> None:
    assert parse_config(s3(f'region = "{written}"'), ENVIRON).stores["s"].region == region


@pytest.mark.parametrize(
    ("written", "title"),
    [
        pytest.param("$${HOME}", "${HOME}", id="escaped"),
        pytest.param("$HOME $ {x} $$", "$HOME $ {x} $$", id="no-reference"),
        pytest.param("$${A}${AWS_ACCESS_KEY_ID}", "${A}id", id="escaped-beside-a-reference"),
        pytest.param("${UNSET:-a:-b c}", "a:-b c", id="default-with-odd-characters"),
    ],
)
def test_dollar_alone_is_text(written: str, title: str) -> None:
    text = f'{s3()}[gateway]\ntitle = "{written}"'
    assert parse_config(text, ENVIRON).gateway.title == title


def test_replaced_text_is_not_read_again() -> None:
    text = s3() + '[gateway]\ntitle = "${A}"'
    assert parse_config(text, {"A": "${B}", "B": "b"}).gateway.title == "${B}"


def test_numbers_and_switches_may_come_from_the_environment() -> None:
    text = (
        s3('connect_timeout = "${C}"', 'tls_verify = "${T}"', 'anonymous = "${A:-true}"')
        + '[gateway]\ndenied_status = "${D}"\nopenapi = "${O}"'
    )
    config = parse_config(text, {"C": "1.5", "T": "false", "D": "403", "O": "false"})
    assert config.stores["s"] == StoreConfig(
        name="s", url="s3://bucket", connect_timeout=1.5, tls_verify=False, anonymous=True
    )
    assert config.gateway == GatewayConfig(denied_status=403, openapi=False)


def test_folders_and_files_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "my files").mkdir()
    (tmp_path / "ca.pem").touch()
    (tmp_path / "account.json").touch()
    file = tmp_path / "conf" / "sluicegate.toml"
    file.parent.mkdir()
    file.write_text(
        '[stores.a]\nurl = "file://./../my files"\n'
        f'[stores.b]\nurl = "file://{tmp_path}/my%20files"\n'
        '[stores.c]\nurl = "s3://b"\ntls_verify = "../ca.pem"\n'
        '[stores.d]\nurl = "gs://b"\nservice_account_file = "../account.json"\n'
        f'[[routes]]\npath = "/a"\nupstream = "https://h/"\ntls_verify = "{tmp_path}/ca.pem"\n'
    )
    config = load_config(file, {})
    assert config.stores == {
        "a": StoreConfig(name="a", url=f"file://{tmp_path}/conf/../my%20files"),
        "b": StoreConfig(name="b", url=f"file://{tmp_path}/my%20files"),
        "c": StoreConfig(name="c", url="s3://b", tls_verify=f"{tmp_path}/conf/../ca.pem"),
        "d": StoreConfig(name="d", url="gs://b", service_account_file=f"{tmp_path}/conf/../account.json"),
    }
    assert isinstance(config.routes[0].target, UpstreamConfig)
    assert config.routes[0].target.tls_verify == f"{tmp_path}/ca.pem"


def test_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "sluicegate.toml"
    file.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())
    assert load_config(file, ENVIRON) == parse_config(EXAMPLE, ENVIRON)


def test_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"a = '\xff'")
    for file, found in (
        (missing, "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "a byte that is not UTF-8 at offset 5"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(file, {})
        assert [(mistake.line, mistake.key, mistake.found) for mistake in caught.value.mistakes] == [
            (None, "", found)
        ]


def test_rest_of_the_path_keeps_its_slashes_in_an_upstream() -> None:
    text = '[[routes]]\npath = "/u/{x}/{key:path}"\nupstream = "http://h/{x}/{key}"'
    target = parse_config(text, {}).routes[0].target
    assert isinstance(target, UpstreamConfig)
    assert target.template.render({"x": "a", "key": "b/c d"}) == "a/b/c%20d"


def test_transfers_are_as_the_library_has_them_unless_the_file_says_otherwise() -> None:
    transfers = parse_config(EXAMPLE, ENVIRON).transfers
    assert transfers == TransfersConfig()
    assert transfers.options == TransferOptions()


def test_sizes_have_units_and_zeros_switch_off() -> None:
    text = """
[transfers]
part_size = "4MiB"
read_ahead = 0
read_ahead_total = "${TOTAL}"
park_after = 0
give_up_after = 7.5
min_drain_rate = "${RATE}"
min_drain_seconds = 10
"""
    transfers = parse_config(EXAMPLE + text, {**ENVIRON, "TOTAL": "1 GiB", "RATE": "1000"}).transfers
    assert transfers == TransfersConfig(
        part_size=4 * 1024**2,
        read_ahead=0,
        read_ahead_total=1024**3,
        park_after=0.0,
        give_up_after=7.5,
        min_drain_rate=1000,
        min_drain_seconds=10.0,
    )
    assert transfers.options == TransferOptions(
        part_size=4 * 1024**2, read_ahead=0, park_after=None, give_up_after=7.5
    )


def test_gateway_has_a_drain_timeout_and_a_form_of_its_log() -> None:
    text = '[gateway]\ndrain_timeout = 2.5\nlog = "json"\n'
    assert parse_config(EXAMPLE + text, ENVIRON).gateway == GatewayConfig(drain_timeout=2.5, log="json")
