"""Mistakes in a configuration: each is found at its line and key, all at once, and none shows a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.gateway.config import Config, ConfigError, Mistake, parse_config
from sluicegate.gateway.config.errors import SECRET_KEYS
from sluicegate.gateway.config.tables import StoreTable

from .config_texts import ENVIRON, route, s3, store


def mistakes_of(text: str, name: str = "sluicegate.toml") -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, ENVIRON, name=name)
    assert "very-secret" not in str(caught.value)
    return caught.value.mistakes


def outcome(text: str, environ: dict[str, str]) -> Config | tuple[Mistake, ...]:
    try:
        return parse_config(text, environ)
    except ConfigError as error:
        return error.mistakes


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        pytest.param('a = "x\n', 1, 7, id="unclosed-string"),
        pytest.param("a = 1\n[a\n", 2, 3, id="unclosed-header"),
        pytest.param("\n\na = ", 3, None, id="no-value"),
        pytest.param("a = 1\na = 2", 2, None, id="key-twice"),
        pytest.param("[a]\n[b]\n[a]\n", 3, 3, id="table-twice"),
    ],
)
def test_syntax_error_names_its_place(text: str, line: int, column: int | None) -> None:
    (mistake,) = mistakes_of(text)
    assert (mistake.line, mistake.column, mistake.key) == (line, column, "")


@pytest.mark.parametrize(
    ("text", "line", "key", "found"),
    [
        # The file as a whole.
        pytest.param("", None, "routes", "nothing", id="empty-file"),
        pytest.param("routes = 5", 1, "routes", "5", id="routes-of-another-type"),
        pytest.param("routes = [5]", 1, "routes[0]", "5", id="route-of-another-type"),
        pytest.param(
            'stores = []\n[[routes]]\npath = "/a"\nupstream = "http://h"',
            1,
            "stores",
            "an empty array",
            id="stores-of-another-type",
        ),
        pytest.param(s3() + "[server]\nport = 1", 6, "server", "an unknown key", id="unknown-table"),
        pytest.param(
            s3() + "[gateway]\ntitel = 1", 7, "gateway.titel", "an unknown key", id="gateway-unknown"
        ),
        pytest.param(s3() + "[gateway]\ntitle = ' '", 7, "gateway.title", "' '", id="empty-title"),
        pytest.param(s3() + "[gateway]\ndenied_status = 401", 7, "gateway.denied_status", "401", id="status"),
        pytest.param(s3() + "[gateway]\nopenapi = 1", 7, "gateway.openapi", "1", id="switch"),
        pytest.param(s3() + "[gateway]\ndrain_timeout = 0", 7, "gateway.drain_timeout", "0", id="no-drain"),
        pytest.param(s3() + "[gateway]\nlog = 'xml'", 7, "gateway.log", "'xml'", id="log"),
        # Transfers.
        pytest.param(
            s3() + "[transfers]\npart = 1", 7, "transfers.part", "an unknown key", id="transfers-unknown"
        ),
        pytest.param(
            s3() + "[transfers]\npart_size = 65535", 7, "transfers.part_size", "65535", id="small-part"
        ),
        pytest.param(
            s3() + "[transfers]\npart_size = '8MB'", 7, "transfers.part_size", "'8MB'", id="other-unit"
        ),
        pytest.param(
            s3() + "[transfers]\nread_ahead = '1024'", 7, "transfers.read_ahead", "'1024'", id="quoted-size"
        ),
        pytest.param(
            s3() + "[transfers]\nread_ahead = -1", 7, "transfers.read_ahead", "-1", id="negative-size"
        ),
        pytest.param(
            s3() + "[transfers]\nread_ahead_total = '9999GiB'",
            7,
            "transfers.read_ahead_total",
            "'9999GiB'",
            id="size-beyond-all",
        ),
        pytest.param(
            s3() + "[transfers]\npark_after = -1", 7, "transfers.park_after", "-1", id="negative-parking"
        ),
        pytest.param(
            s3() + "[transfers]\npark_after = true", 7, "transfers.park_after", "true", id="parking-switch"
        ),
        pytest.param(
            s3() + "[transfers]\ngive_up_after = 0", 7, "transfers.give_up_after", "0", id="no-patience"
        ),
        pytest.param(
            s3() + "[transfers]\nmin_drain_rate = 1.5",
            7,
            "transfers.min_drain_rate",
            "1.5",
            id="fraction-of-a-byte",
        ),
        pytest.param(
            s3() + "[transfers]\nmin_drain_seconds = 86400",
            7,
            "transfers.min_drain_seconds",
            "86400",
            id="a-day",
        ),
        # The environment.
        pytest.param(
            s3('region = "${UNSET}"'), 3, "stores.s.region", "${UNSET}, which is not set", id="unset"
        ),
        pytest.param(
            s3('region = "${A"'), 3, "stores.s.region", "a malformed reference", id="unclosed-reference"
        ),
        pytest.param(s3('region = "${1A}"'), 3, "stores.s.region", "a malformed reference", id="bad-name"),
        pytest.param(
            s3('region = "${A:b}"'), 3, "stores.s.region", "a malformed reference", id="bad-default"
        ),
        pytest.param(
            s3('region = "${NOT_UTF8}"'),
            3,
            "stores.s.region",
            "${NOT_UTF8}, which is not UTF-8",
            id="not-utf-8",
        ),
        pytest.param(store('url = "${EMPTY}"'), 2, "stores.s.url", "nothing", id="url-expands-to-nothing"),
        # Stores.
        pytest.param(
            store("x = 1", 'url = "memory://"'), 2, "stores.s.x", "an unknown key", id="unknown-option"
        ),
        pytest.param(store(), 1, "stores.s.url", "nothing", id="no-url"),
        pytest.param(store("url = 5"), 2, "stores.s.url", "5", id="url-of-another-type"),
        pytest.param(store('url = "ftp://b"'), 2, "stores.s.url", "'ftp://b'", id="unknown-scheme"),
        pytest.param(store('url = "bucket"'), 2, "stores.s.url", "'bucket'", id="no-scheme"),
        pytest.param(store('url = "s3://"'), 2, "stores.s.url", "'s3://'", id="no-bucket"),
        pytest.param(store('url = "s3://{b}"'), 2, "stores.s.url", "'s3://{b}'", id="placeholder-for-bucket"),
        pytest.param(
            store('url = "s3://b/{p}"'), 2, "stores.s.url", "'s3://b/{p}'", id="placeholder-in-prefix"
        ),
        pytest.param(store('url = "s3://b/../c"'), 2, "stores.s.url", "'s3://b/../c'", id="dots-in-prefix"),
        pytest.param(store('url = "s3://b/c//d"'), 2, "stores.s.url", "'s3://b/c//d'", id="empty-in-prefix"),
        pytest.param(store('url = "s3://b/c?d"'), 2, "stores.s.url", "'s3://b/c?***'", id="query-in-url"),
        pytest.param(
            store('url = "s3://i:very-secret@b"'), 2, "stores.s.url", "'s3://***@b'", id="keys-in-url"
        ),
        pytest.param(store('url = "memory://x"'), 2, "stores.s.url", "'memory://x'", id="memory-with-a-name"),
        pytest.param(store('url = "file://x"'), 2, "stores.s.url", "'file://x'", id="file-without-folder"),
        pytest.param(store('url = "file:///no-such"'), 2, "stores.s.url", "'/no-such'", id="missing-folder"),
        pytest.param(
            '[stores."my store"]\nurl = "memory://"\n[[routes]]\npath = "/"\nupstream = "http://h"',
            1,
            "stores.'my store'",
            "'my store'",
            id="store-name",
        ),
        pytest.param(s3('region = "us east"'), 3, "stores.s.region", "'us east'", id="region"),
        pytest.param(s3('region = ""'), 3, "stores.s.region", "''", id="written-empty"),
        pytest.param(s3('client = "boto3"'), 3, "stores.s.client", "'boto3'", id="client"),
        pytest.param(s3('addressing = "auto"'), 3, "stores.s.addressing", "'auto'", id="addressing"),
        pytest.param(s3('anonymous = "yes"'), 3, "stores.s.anonymous", "'yes'", id="quoted-switch"),
        pytest.param(s3("tls_verify = 1"), 3, "stores.s.tls_verify", "1", id="tls-verify"),
        pytest.param(
            s3('tls_verify = "/no.pem"'), 3, "stores.s.tls_verify", "'/no.pem'", id="missing-ca-file"
        ),
        pytest.param(s3('connect_timeout = "5"'), 3, "stores.s.connect_timeout", "'5'", id="quoted-number"),
        pytest.param(
            s3("connect_timeout = true"), 3, "stores.s.connect_timeout", "true", id="switch-for-number"
        ),
        pytest.param(s3("read_timeout = 0"), 3, "stores.s.read_timeout", "0", id="no-time"),
        pytest.param(s3("read_timeout = -1.5"), 3, "stores.s.read_timeout", "-1.5", id="negative-time"),
        pytest.param(s3("read_timeout = inf"), 3, "stores.s.read_timeout", "inf", id="infinite-time"),
        pytest.param(s3("read_timeout = nan"), 3, "stores.s.read_timeout", "nan", id="no-number"),
        pytest.param(s3("read_timeout = 86400"), 3, "stores.s.read_timeout", "86400", id="a-day"),
        pytest.param(
            s3(f"read_timeout = 1{'0' * 400}"),
            3,
            "stores.s.read_timeout",
            "an integer beyond 64 bits",
            id="number-beyond-floats",
        ),
        pytest.param(
            s3('read_timeout = "${AWS_ACCESS_KEY_ID}"'),
            3,
            "stores.s.read_timeout",
            "'id'",
            id="text-for-number",
        ),
        pytest.param(s3('endpoint_url = "h:1"'), 3, "stores.s.endpoint_url", "'h:1'", id="endpoint"),
        pytest.param(
            s3('endpoint_url = "http://{h}"'), 3, "stores.s.endpoint_url", "'{h}'", id="endpoint-host"
        ),
        pytest.param(
            s3('endpoint_url = "http://h/{p}"'),
            3,
            "stores.s.endpoint_url",
            "'http://h/{p}'",
            id="endpoint-path",
        ),
        pytest.param(
            s3('endpoint_url = "http://h/?a=very-secret"'),
            3,
            "stores.s.endpoint_url",
            "'http://h/?***'",
            id="endpoint-query",
        ),
        pytest.param(
            s3('access_key_id = "i"', "secret_access_key = 5"),
            4,
            "stores.s.secret_access_key",
            "a value that is not shown",
            id="bad-secret-key-is-not-missing",
        ),
        pytest.param(
            s3('access_key_id = "i"'), 3, "stores.s.access_key_id", "access_key_id alone", id="no-secret-key"
        ),
        pytest.param(
            s3('secret_access_key = "very-secret"'),
            3,
            "stores.s.secret_access_key",
            "secret_access_key alone",
            id="no-key-id",
        ),
        pytest.param(
            s3('session_token = "very-secret"'),
            3,
            "stores.s.session_token",
            "session_token alone",
            id="token-alone",
        ),
        pytest.param(
            s3('profile = "p"', 'access_key_id = "i"', 'secret_access_key = "k"'),
            4,
            "stores.s.access_key_id",
            "both profile and access_key_id",
            id="profile-and-keys",
        ),
        pytest.param(
            s3("anonymous = true", 'profile = "p"'),
            4,
            "stores.s.profile",
            "both anonymous and profile",
            id="anonymous-and-profile",
        ),
        pytest.param(
            store('url = "az://c"', 'account_key = "very-secret"', 'sas_token = "very-secret"'),
            4,
            "stores.s.sas_token",
            "both account_key and sas_token",
            id="key-and-token",
        ),
        pytest.param(
            store('url = "gs://b"', 'region = "eu"'),
            3,
            "stores.s.region",
            "region for a gs:// store",
            id="option-of-another-kind",
        ),
        pytest.param(
            store('url = "memory://"', "read_timeout = 5"),
            3,
            "stores.s.read_timeout",
            "read_timeout for a memory:// store",
            id="timeout-of-a-local-store",
        ),
        pytest.param(
            store('url = "gs://b"', 'client = "botocore"'),
            3,
            "stores.s.client",
            "'botocore' for a gs:// store",
            id="client-of-another-kind",
        ),
        pytest.param(
            store('url = "gs://b"', 'service_account_file = "/no.json"'),
            3,
            "stores.s.service_account_file",
            "'/no.json'",
            id="missing-account-file",
        ),
        # Routes.
        pytest.param(route('object = "s:k"'), 3, "routes[0].path", "nothing", id="no-path"),
        pytest.param(route('path = "/a"'), 3, "routes[0]", "neither object nor upstream", id="no-target"),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'upstream = "http://h"'),
            6,
            "routes[0].upstream",
            "both object and upstream",
            id="two-targets",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', "x = 1"),
            6,
            "routes[0].x",
            "an unknown key",
            id="route-unknown",
        ),
        pytest.param(route('path = "/{a"', 'object = "s:k"'), 4, "routes[0].path", "'{a'", id="path"),
        pytest.param(
            route('path = "/{a:path}/b"', 'object = "s:k"'),
            4,
            "routes[0].path",
            "'{a:path}'",
            id="rest-not-last",
        ),
        pytest.param(
            route('path = "/{a:float}"', 'object = "s:k"'),
            4,
            "routes[0].path",
            "'{a:float}'",
            id="unknown-type",
        ),
        pytest.param(
            route('path = "/docs"', 'object = "s:k"'), 4, "routes[0].path", "'/docs'", id="documents"
        ),
        pytest.param(
            route('path = "/readyz"', 'object = "s:k"'), 4, "routes[0].path", "'/readyz'", id="health"
        ),
        pytest.param(
            route('path = "/{a}"', 'object = "s:{a}"', "[[routes]]", 'path = "/{b}"', 'object = "s:{b}"'),
            7,
            "routes[1].path",
            "'/{b}'",
            id="same-shape",
        ),
        pytest.param(route('path = "/a"', 'object = "k"'), 5, "routes[0].object", "'k'", id="object"),
        pytest.param(
            route('path = "/a"', 'object = "t:k"'), 5, "routes[0].object", "the unknown store 't'", id="store"
        ),
        pytest.param(
            route('path = "/{t}"', 'object = "{t}:k"'),
            5,
            "routes[0].object",
            "a placeholder for the store",
            id="placeholder-for-store",
        ),
        pytest.param(
            route('path = "/{a}"', 'object = "s:{b}"'),
            5,
            "routes[0].object",
            "the placeholder {b}, which the path does not declare",
            id="undeclared",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "http://h/{b}"'),
            5,
            "routes[0].upstream",
            "the placeholder {b}, which the path does not declare",
            id="undeclared-upstream",
        ),
        pytest.param(
            route('path = "/{h}"', 'upstream = "http://{h}/"'),
            5,
            "routes[0].upstream",
            "'{h}'",
            id="upstream-host",
        ),
        pytest.param(
            route('path = "/{q}"', 'upstream = "http://h/?k=very-secret&q={q}"'),
            5,
            "routes[0].upstream",
            "'{q}'",
            id="upstream-query",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "http://u:very-secret@h/"'),
            5,
            "routes[0].upstream",
            "'***@h'",
            id="upstream-password",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', "read_timeout = 5"),
            6,
            "routes[0].read_timeout",
            "read_timeout on a route with object",
            id="upstream-key-on-object",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "https://h"', 'tls_verify = "/no.pem"'),
            6,
            "routes[0].tls_verify",
            "'/no.pem'",
            id="upstream-ca-file",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'media_type = "jpeg"'),
            6,
            "routes[0].media_type",
            "'jpeg'",
            id="media-type",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'media_type = "image/*"'),
            6,
            "routes[0].media_type",
            "'image/*'",
            id="media-range",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'media_type = "a/b\\r\\nx: y"'),
            6,
            "routes[0].media_type",
            "'a/b\\r\\nx: y'",
            id="media-type-that-splits",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'cache_control = "no\\nstore"'),
            6,
            "routes[0].cache_control",
            "'no\\nstore'",
            id="cache-control-that-splits",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'filename = "a/b"'),
            6,
            "routes[0].filename",
            "'a/b'",
            id="file-name-with-folder",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'filename = "a\\r\\nb"'),
            6,
            "routes[0].filename",
            "'a\\r\\nb'",
            id="file-name-that-splits",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'disposition = "download"'),
            6,
            "routes[0].disposition",
            "'download'",
            id="disposition",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'headers = { Content-Length = "1" }'),
            6,
            "routes[0].headers.Content-Length",
            "'Content-Length'",
            id="framing-field",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'headers = { content-type = "a/b" }'),
            6,
            "routes[0].headers.content-type",
            "'content-type'",
            id="field-with-its-own-key",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'headers = { "X A" = "b" }'),
            6,
            "routes[0].headers.'X A'",
            "'X A'",
            id="field-name",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', "[routes.headers]", 'X-A = "b\\nc"'),
            7,
            "routes[0].headers.X-A",
            "a value that cannot be sent",
            id="field-that-splits",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', 'headers = { X-A = "b", x-a = "c" }'),
            6,
            "routes[0].headers.x-a",
            "'x-a' twice",
            id="field-twice",
        ),
        pytest.param(
            route('path = "/a"', 'object = "s:k"', "headers = { X-A = 1 }"),
            6,
            "routes[0].headers.X-A",
            "1",
            id="field-of-another-type",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "http://h"', 'request_headers = { Range = "bytes=0-" }'),
            6,
            "routes[0].request_headers.Range",
            "'Range'",
            id="field-of-the-request",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "http://h"', 'request_headers = { X-Key = "very-secret\\n" }'),
            6,
            "routes[0].request_headers.X-Key",
            "a value that cannot be sent",
            id="secret-field",
        ),
        pytest.param(
            route('path = "/a"', 'upstream = "http://h"', 'request_headers = "very-secret"'),
            6,
            "routes[0].request_headers",
            "a value that is not shown",
            id="secret-fields-of-another-type",
        ),
    ],
)
def test_mistake_is_found(text: str, line: int | None, key: str, found: str) -> None:
    assert [(mistake.line, mistake.key, mistake.found) for mistake in mistakes_of(text)] == [
        (line, key, found)
    ]


def test_all_mistakes_are_told_at_once_by_line() -> None:
    text = """\
[stores.images]
url = "s3://{bucket}"
endpont_url = "${ENDPOINT}"
client = "boto3"
access_key_id = "AKIA"

[[routes]]
path = "/a/{x:int}"
object = "image:{y}"

[[routes]]
path = "/a/{y:int}"
media_type = "jpeg"
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, {}, name="conf/a.toml")
    assert str(caught.value).splitlines() == [
        "conf/a.toml:2: stores.images.url: found 's3://{bucket}'; "
        "expected a literal bucket and prefix: a request never chooses them",
        "conf/a.toml:3: stores.images.endpont_url: found ${ENDPOINT}, which is not set; "
        "expected ENDPOINT in the environment, or ${ENDPOINT:-default}",
        "conf/a.toml:4: stores.images.client: found 'boto3'; expected 'obstore', 'aiobotocore' or 'botocore'",
        "conf/a.toml:5: stores.images.access_key_id: found access_key_id alone; "
        "expected secret_access_key beside it, or neither",
        "conf/a.toml:9: routes[0].object: found the unknown store 'image'; "
        "expected one of: images (did you mean 'images'?)",
        "conf/a.toml:9: routes[0].object: found the placeholder {y}, which the path does not declare; "
        "expected one of: x",
        "conf/a.toml:11: routes[1]: found neither object nor upstream; expected one of them",
        "conf/a.toml:12: routes[1].path: found '/a/{y:int}'; "
        "expected a path unlike routes[0].path on line 8, which matches the same",
        "conf/a.toml:13: routes[1].media_type: found 'jpeg'; expected a media type such as 'image/jpeg'",
    ]


@pytest.mark.parametrize("key", sorted(SECRET_KEYS & StoreTable.model_fields.keys()))
@pytest.mark.parametrize(
    "value",
    [
        pytest.param('"   "', id="blank"),
        pytest.param('["very-secret"]', id="array"),
        pytest.param('{ a = "very-secret" }', id="table"),
        pytest.param("1234567890", id="number"),
    ],
)
def test_secret_is_never_shown(key: str, value: str) -> None:
    mistakes = mistakes_of(s3(f"{key} = {value}"))
    assert ("a value that is not shown", f"stores.s.{key}") in {(m.found, m.key) for m in mistakes}
    assert "1234567890" not in str(mistakes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(s3('secret_acess_key = "very-secret"'), id="misspelt"),
        pytest.param('secret_access_key = "very-secret"', id="outside-its-table"),
        pytest.param('[stores]\nsecret_access_key = "very-secret"', id="in-the-place-of-a-store"),
        pytest.param(s3('[stores.s.secret_access_key]\nkey = "very-secret"'), id="as-a-table"),
    ],
)
def test_secret_in_the_wrong_place_is_not_shown(text: str) -> None:
    assert "very-secret" not in str(mistakes_of(text))


CREDENTIALS = ("access_key_id", "secret_access_key", "session_token", "account_key", "sas_token")


@pytest.mark.parametrize("key", [*CREDENTIALS, "account_name", "profile"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("very-secret\n", "a line break at its end, as files have", id="line-break"),
        pytest.param("very-secret\r\n", "a line break at its end, as files have", id="line-break-of-windows"),
        pytest.param(" very-secret", "a space or line break at one of its ends", id="space"),
        pytest.param("very-\x7fsecret", "a control character in it", id="control"),
    ],
)
def test_credential_that_cannot_be_sent_is_a_mistake(key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(s3(f'{key} = "${{SECRET}}"'), {"SECRET": value})
    mistake = next(one for one in caught.value.mistakes if said in one.allowed)
    assert (mistake.line, mistake.key) == (3, f"stores.s.{key}")
    assert key not in CREDENTIALS or "secret" not in mistake.found


def test_credential_beyond_ascii_is_a_mistake_and_a_profile_is_none() -> None:
    (mistake,) = mistakes_of(s3('access_key_id = "é"', 'secret_access_key = "x"'))
    assert mistake.allowed == "printable ASCII on one line: this has a character that is not ASCII"
    assert parse_config(s3('profile = "é"'), {}).stores["s"].profile == "é"


def test_secrets_are_not_in_a_repr() -> None:
    lines = ["session_token", "access_key_id", "secret_access_key"]
    s3_store = s3(*(f'{key} = "very-secret"' for key in lines))
    azure = '[stores.t]\nurl = "az://c"\naccount_key = "very-secret"\n[stores.u]\nurl = "az://c"\n'
    upstream = '[[routes]]\npath = "/u"\nupstream = "http://h/?k=very-secret"\n'
    text = (
        f'{s3_store}{azure}sas_token = "very-secret"\n{upstream}request_headers = {{ X-Key = "very-secret" }}'
    )
    assert "very-secret" not in repr(parse_config(text, {}))


def test_unknown_key_is_told_with_the_one_that_was_meant() -> None:
    (mistake,) = mistakes_of(s3('endpont_url = "x"'))
    keys = ", ".join(sorted(StoreTable.model_fields))
    assert mistake == Mistake(
        3, "stores.s.endpont_url", "an unknown key", f"one of: {keys} (did you mean 'endpoint_url'?)"
    )


def test_long_value_is_cut_in_a_message() -> None:
    (mistake,) = mistakes_of(s3(f'region = "{"_" * 1000}"'))
    assert mistake.found == repr("_" * 100 + "...")


@given(st.text())
def test_no_text_but_a_configuration_is_taken_for_one(text: str) -> None:
    assert isinstance(outcome(text, {}), tuple)


VALUES = st.sampled_from(
    [
        *("0", "1", "-1", "1.5", "inf", "nan", "true", "false", "1979-05-27", "07:32:00", "[]", "[1]", "{}"),
        *('""', '"a"', '"{x}"', '"${X}"', '"${"', '"$${"', '"s3://b"', '"file://./tests"', '"memory://"'),
        *('"/{x}"', '"s:{x}"', '"http://h/{x}"', '"http://u@h:x/"', '"\\u0000"', '"é"', "{ a = 1 }"),
    ]
)


@given(
    st.dictionaries(st.sampled_from([*StoreTable.model_fields, "x"]), VALUES),
    st.dictionaries(st.sampled_from(["path", "object", "upstream", "headers", "tls_verify", "y"]), VALUES),
    st.sampled_from([{}, {"X": ""}, {"X": "x"}, {"X": "\udcff"}]),
)
def test_any_values_are_a_configuration_or_a_list_of_mistakes(
    options: dict[str, str], keys: dict[str, str], environ: dict[str, str]
) -> None:
    lines = [f"{key} = {value}" for key, value in options.items()]
    route_lines = [f"{key} = {value}" for key, value in keys.items()]
    text = "\n".join(["[stores.s]", *lines, "[[routes]]", *route_lines])
    found = outcome(text, environ)
    if isinstance(found, Config):
        assert len(found.routes) == 1
    else:
        assert found
        assert all(mistake.line is not None for mistake in found)
