"""Who may read, how much, and where the gateway listens for its operator: as a configuration says it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.api_keys import hash_key
from sluicegate.access.passwords import hash_password
from sluicegate.gateway.config import Config, ConfigError, Mistake, parse_config
from sluicegate.gateway.config.tables import AuthTable, CorsTable, LimitsTable, RouteTable
from sluicegate.gateway.config.values import (
    AdminConfig,
    ApiKeyAuth,
    BasicAuth,
    ForwardAuthConfig,
    JwtAuth,
    LimitsConfig,
    ServerLimitsConfig,
    SignedAuth,
)
from sluicegate.http.cors import CorsPolicy
from sluicegate.http.fields import GUARDED_CACHE_CONTROL

KEY = "very-secret-0123456789-0123456789-0123456789"
STORE = '[stores.s]\nurl = "memory://"\n[stores.t]\nurl = "memory://"\n'
LINKS = f'[auth.links]\ntype = "signed"\nkeys = {{ k1 = "{KEY}" }}\n'
JWT = '[auth.login]\ntype = "jwt"\nissuer = "https://issuer"\naudience = "a"\nalgorithms = ["RS256"]\n'


def route(*lines: str, to: str = 's:{key}"') -> str:
    return "\n".join(["[[routes]]", 'path = "/{key:path}"', f'object = "{to}', *lines, ""])


def mistakes(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, {})
    assert "very-secret" not in str(caught.value)
    return [(mistake.key, mistake.found) for mistake in caught.value.mistakes]


def test_without_auth_everything_is_public() -> None:
    config = parse_config(STORE + route(), {})
    assert (config.routes[0].auth, config.gateway.openapi, config.routes[0].cache_control) == ((), True, None)


def test_with_auth_a_route_that_says_nothing_is_a_mistake() -> None:
    assert mistakes(STORE + LINKS + route()) == [("routes[0].auth", "nothing, where there is an [auth.NAME]")]


@pytest.mark.parametrize(
    ("defaults", "own", "auth"),
    [
        pytest.param("", 'auth = "links"', ("links",), id="one"),
        pytest.param("", 'auth = ["links", "login"]', ("links", "login"), id="several"),
        pytest.param("", 'auth = "public"', (), id="public"),
        pytest.param('[defaults]\nauth = "login"\n', "", ("login",), id="default"),
        pytest.param('[defaults]\nauth = "login"\n', 'auth = "public"', (), id="public-in-spite-of-default"),
    ],
)
def test_a_route_says_who_may_read(defaults: str, own: str, auth: tuple[str, ...]) -> None:
    config = parse_config(STORE + LINKS + JWT + defaults + route(own), {})
    assert config.routes[0].auth == auth
    assert config.routes[0].cache_control == (GUARDED_CACHE_CONTROL if auth else None)
    assert not config.gateway.openapi


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(route("auth = []"), ("routes[0].auth", "an empty array"), id="auth"),
        pytest.param(
            "[defaults]\nauth = []\n" + route(), ("defaults.auth", "an empty array"), id="default-auth"
        ),
        pytest.param(
            route('auth = "links"', "methods = []"), ("routes[0].methods", "an empty array"), id="methods"
        ),
        pytest.param(
            route('auth = "links"', "key_prefixes = []"),
            ("routes[0].key_prefixes", "an empty array"),
            id="prefixes",
        ),
        pytest.param(
            route('auth = "links"', "stores = []"), ("routes[0].stores", "an empty array"), id="stores"
        ),
        pytest.param(
            '[auth.partners]\ntype = "api_key"\nkeys = { acme = [] }\n' + route('auth = "links"'),
            ("auth.partners.keys.acme", "a value that is not shown"),
            id="keys",
        ),
    ],
)
def test_an_empty_array_that_would_mean_everybody_or_nobody_is_a_mistake(
    written: str, expected: tuple[str, str]
) -> None:
    assert expected in mistakes(STORE + LINKS + written)


def test_without_any_auth_an_empty_array_is_a_mistake_too() -> None:
    with pytest.raises(ConfigError, match=r"an empty array; expected names, or 'public'"):
        parse_config(STORE + route("auth = []"), {})


def test_a_guarded_route_keeps_its_own_cache_control() -> None:
    config = parse_config(STORE + LINKS + route('auth = "links"', 'cache_control = "max-age=5"'), {})
    assert config.routes[0].cache_control == "max-age=5"


def test_documents_can_be_served_beside_guarded_routes() -> None:
    text = STORE + LINKS + "[gateway]\nopenapi = true\n" + route('auth = "links"')
    assert parse_config(text, {}).gateway.openapi


def test_every_kind_of_auth_becomes_a_value(tmp_path: Path) -> None:
    hashed, stored = hash_password("pw"), hash_key("k" * 40)
    text = f"""
[auth.partners]
type = "api_key"
keys = {{ acme = "{stored}" }}
header = "X-Key"
[auth.staff]
type = "basic"
users = {{ alice = "{hashed}" }}
realm = "staff"
[auth.own]
type = "forward"
url = "http://127.0.0.1:1/ask"
cache_seconds = 5
request_headers = {{ X-Token = "very-secret" }}
"""
    config = parse_config(STORE + LINKS + JWT + text + route('auth = "own"'), {}, name=f"{tmp_path}/c.toml")
    kinds = {name: type(auth) for name, auth in config.auth.items()}
    assert kinds == {
        "links": SignedAuth,
        "login": JwtAuth,
        "partners": ApiKeyAuth,
        "staff": BasicAuth,
        "own": ForwardAuthConfig,
    }
    assert KEY not in repr(config)
    assert "very-secret" not in repr(config)
    assert hashed not in repr(config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[auth.a]\n", ("auth.a.type", "nothing"), id="no-type"),
        pytest.param('[auth.a]\ntype = "oauth"\n', ("auth.a.type", "'oauth'"), id="unknown-type"),
        pytest.param('[auth.a]\ntype = "signed"\n', ("auth.a.keys", "nothing"), id="no-keys"),
        pytest.param(
            '[auth.a]\ntype = "signed"\nkeys = { k = "very-secret" }\n',
            (
                "auth.a.keys",
                "the key 'k' has 11 characters, and needs at least 32: 'sluicegate new-key' makes one",
            ),
            id="short-key",
        ),
        pytest.param(
            '[auth.a]\ntype = "signed"\nkeys = { k = 5 }\n',
            ("auth.a.keys.k", "a value that is not shown"),
            id="key-of-another-type",
        ),
        pytest.param(
            f'[auth.a]\ntype = "signed"\nkeys = {{ k = "{KEY}" }}\nissuer = "x"\n',
            ("auth.a.issuer", "issuer for type 'signed'"),
            id="key-of-another-kind",
        ),
        pytest.param(
            '[auth.a]\ntype = "jwt"\nissuer = "https://i"\naudience = "a"\nalgorithms = ["HS256"]\n',
            ("auth.a.algorithms", "'HS256' is not one of ES256"),
            id="symmetric-algorithm",
        ),
        pytest.param(
            '[auth.a]\ntype = "api_key"\nkeys = { acme = "very-secret" }\n',
            ("auth.a.keys", "key 1 of 'acme' must be stored as 'sha256:'"),
            id="key-that-is-no-hash",
        ),
        pytest.param(
            '[auth.a]\ntype = "basic"\nusers = { alice = "very-secret" }\n',
            ("auth.a.users", "the password hash of user 'alice' is no argon2id hash"),
            id="password-that-is-no-hash",
        ),
        pytest.param(
            '[auth.a]\ntype = "forward"\nurl = "ftp://very-secret@h"\n',
            ("auth.a.url", "url must be an http:// or https:// address"),
            id="address-that-is-none",
        ),
        pytest.param(
            JWT.replace("login", "a") + 'jwks_url = "https://h/\\n"\n',
            ("auth.a.jwks_url", "'"),
            id="line-break",
        ),
        pytest.param(
            JWT.replace("login", "a") + "leeway = 999\n",
            ("auth.a.leeway", "999.0 is not from 0 to 300"),
            id="leeway-beyond-all",
        ),
    ],
)
def test_mistakes_of_auth_are_told(text: str, expected: tuple[str, str]) -> None:
    key, found = expected
    told = mistakes(STORE + text + route('auth = "a"'))
    assert [one for one in told if one[0] == key and one[1].startswith(found)] != []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(['auth = "link"'], ("routes[0].auth", "'link'"), id="unknown-auth"),
        pytest.param(
            ['auth = ["links", "public"]'], ("routes[0].auth", "'public'"), id="public-among-others"
        ),
        pytest.param(
            ['auth = "public"', 'methods = ["PUT"]'], ("routes[0].methods", "an array"), id="other-method"
        ),
        pytest.param(
            ['auth = "public"', 'key_prefixes = "a"'], ("routes[0].key_prefixes", "'a'"), id="open-prefix"
        ),
        pytest.param(
            ['auth = "public"', 'stores = ["s"]'],
            ("routes[0].stores", "stores on a route of one store"),
            id="stores-without-placeholder",
        ),
        pytest.param(
            ['auth = "public"', 'redirects = ["h"]'],
            ("routes[0].redirects", "redirects on a route with object"),
            id="redirects-of-an-object",
        ),
        pytest.param(
            ['auth = "public"', 'cors = { origins = "*", credentials = true }'],
            ("routes[0].cors.credentials", "true"),
            id="credentials-for-all-origins",
        ),
        pytest.param(
            ['auth = "public"', "cors = { max_age = 5 }"],
            ("routes[0].cors.origins", "nothing"),
            id="cors-without-origins",
        ),
        pytest.param(
            ['auth = "public"', 'cors = { origins = "example.com" }'],
            ("routes[0].cors.origins", "'example.com'"),
            id="origin-without-scheme",
        ),
        pytest.param(
            ['auth = "public"', 'limits = { requests = "5" }'],
            ("routes[0].limits.requests", "'5'"),
            id="rate-without-time",
        ),
        pytest.param(
            ['auth = "public"', "limits = { transfer = 5 }"],
            ("routes[0].limits.transfer", "an unknown key"),
            id="unknown-limit",
        ),
    ],
)
def test_mistakes_of_routes_are_told(lines: list[str], expected: tuple[str, str]) -> None:
    assert expected in mistakes(STORE + LINKS + route(*lines))


def test_a_claim_on_a_public_route_is_a_mistake() -> None:
    text = STORE + LINKS + route('auth = "public"', to='s:{claims.sub}/{key}"')
    assert mistakes(text) == [("routes[0].object", "the claim {claims.sub} on a public route")]


def test_a_store_is_chosen_from_a_list_or_not_at_all() -> None:
    path = '[[routes]]\npath = "/{store}/{key:path}"\nobject = "{store}:{key}"\n'
    assert mistakes(STORE + path) == [("routes[0].object", "a placeholder for the store")]
    config = parse_config(STORE + path + 'stores = ["s", "t"]', {})
    assert config.routes[0].stores == ("s", "t")
    assert mistakes(STORE + path + 'stores = ["s", "u"]') == [("routes[0].stores", "the unknown store 'u'")]


@pytest.mark.parametrize("host", ["a:80", "a b", "[::1]", "http://a", "*.a", ""])
def test_name_that_no_host_field_can_have_is_a_mistake(host: str) -> None:
    text = STORE + f'[admin]\nallowed_hosts = ["a.example", "{host}"]\n' + route()
    assert mistakes(text) == [("admin.allowed_hosts", "an array")]


def test_no_leeway_is_allowed() -> None:
    auth = parse_config(STORE + JWT + "leeway = 0\n" + route('auth = "login"'), {}).auth["login"]
    assert isinstance(auth, JwtAuth)
    assert auth.options.leeway_seconds == 0


def test_mistake_of_auth_stands_on_the_line_of_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config('[auth.a]\ntype = "signed"\nkeys.k = "short"\n' + STORE + route('auth = "a"'), {})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("sluicegate.toml:3: auth.a.keys: the key 'k' has 5 characters")


def test_limits_are_those_of_the_file() -> None:
    own = 'limits = { transfers = 3, client_requests = "10/second", bytes_per_second = "1MiB" }'
    text = '[limits]\nmax_url = "4KiB"\nhead_timeout = 5\nclient_transfers = 2\nstorage = "redis://h:1"\n'
    text += 'namespace = "images"\n'
    config = parse_config(STORE + text + route(own), {})
    assert config.limits == ServerLimitsConfig(
        max_url=4096, head_timeout=5.0, client_transfers=2, storage="redis://h:1", namespace="images"
    )
    expected = LimitsConfig(transfers=3, client_requests="10/second", bytes_per_second=1024**2)
    assert config.routes[0].limits == expected


@pytest.mark.parametrize(
    ("line", "key"),
    [
        pytest.param('max_head = "1"', "limits.max_head", id="size-without-unit"),
        pytest.param("max_url = 10", "limits.max_url", id="too-small"),
        pytest.param("max_ranges = 0", "limits.max_ranges", id="no-range"),
        pytest.param("max_ranges = 1000", "limits.max_ranges", id="too-many-ranges"),
        pytest.param('storage = "mysql://very-secret@h"', "limits.storage", id="other-storage"),
        pytest.param('storage = "redis"', "limits.storage", id="storage-that-is-no-address"),
        pytest.param('storage = "redis://h/very-secret"', "limits.storage", id="database-that-is-no-number"),
        pytest.param('namespace = "two words"', "limits.namespace", id="namespace-with-a-space"),
        pytest.param('on_failure = "panic"', "limits.on_failure", id="other-policy"),
        pytest.param("transfers = 1.5", "limits.transfers", id="fraction"),
        pytest.param("transfers = -1", "limits.transfers", id="negative"),
    ],
)
def test_mistakes_of_limits_are_told(line: str, key: str) -> None:
    assert [where for where, _ in mistakes(STORE + f"[limits]\n{line}\n" + route())] == [key]


def test_admin_address_is_on_loopback_unless_said_otherwise() -> None:
    assert parse_config(STORE + route(), {}).admin == AdminConfig()
    off = parse_config(STORE + '[admin]\naddress = "off"\n' + route(), {}).admin
    own = parse_config(STORE + '[admin]\naddress = "0.0.0.0:9000"\nallowed_hosts = "a"\n' + route(), {}).admin
    assert off == AdminConfig(address=None, is_chosen=True)
    assert own == AdminConfig(address="0.0.0.0:9000", is_chosen=True, allowed_hosts=("a",))


def test_tls_needs_both_files(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    with pytest.raises(ConfigError) as caught:
        parse_config(STORE + '[tls]\ncertificate = "c.pem"\n' + route(), {}, name=f"{tmp_path}/c.toml")
    assert [mistake.key for mistake in caught.value.mistakes] == ["tls.key"]


def test_cors_of_a_route_replaces_the_default() -> None:
    defaults = '[defaults.cors]\norigins = ["https://a.example"]\n'
    by_default = parse_config(STORE + defaults + route(), {}).routes[0].cors
    own = parse_config(STORE + defaults + route('cors = { origins = "*", max_age = 5 }'), {}).routes[0].cors
    off = parse_config(STORE + defaults + route("cors = { origins = [] }"), {}).routes[0].cors
    assert by_default == CorsPolicy(origins=frozenset({"https://a.example"}))
    assert own == CorsPolicy(origins=frozenset({"*"}), max_age_seconds=5)
    assert off is None


VALUES = st.sampled_from(
    [
        *("0", "-1", "1.5", "nan", "true", "1979-05-27", "[]", "[1]", "{}", '""', '"a"', '"${X}"'),
        *('"signed"', '"jwt"', '"api_key"', '"basic"', '"forward"', '"public"', '"*"', '["GET"]', '"off"'),
        *('{ a = "b" }', "{ a = 1 }", '"10/second"', '"10.0.0.0/8"', '"https://h/"', '"\\u0000"', '"é"'),
    ]
)


@given(
    st.dictionaries(st.sampled_from([*AuthTable.model_fields, "x"]), VALUES),
    st.dictionaries(st.sampled_from([*RouteTable.model_fields, "y"]), VALUES),
    st.dictionaries(st.sampled_from([*LimitsTable.model_fields, "z"]), VALUES),
    st.dictionaries(st.sampled_from([*CorsTable.model_fields, "w"]), VALUES),
)
def test_any_values_are_a_configuration_or_a_list_of_mistakes(
    auth: dict[str, str], keys: dict[str, str], limits: dict[str, str], cors: dict[str, str]
) -> None:
    def table(name: str, values: dict[str, str]) -> list[str]:
        return [name, *(f"{key} = {value}" for key, value in values.items())]

    route_keys = {**keys, "cors": f"{{ {', '.join(f'{k} = {v}' for k, v in cors.items())} }}"}
    lines = [*table("[auth.a]", auth), *table("[limits]", limits), *table("[[routes]]", route_keys)]
    found = outcome(STORE + "\n".join(lines))
    assert isinstance(found, Config) or (found and all(mistake.line is not None for mistake in found))


def outcome(text: str) -> Config | tuple[Mistake, ...]:
    try:
        return parse_config(text, {"X": ""})
    except ConfigError as error:
        return error.mistakes


def test_a_claim_where_a_link_is_enough_is_a_mistake() -> None:
    found = mistakes(STORE + LINKS + JWT + route('auth = ["links", "login"]', to='s:{claims.sub}/{key}"'))
    assert found == [
        ("routes[0].object", "the claim {claims.sub}, where auth.links lets in whoever has a link")
    ]


def test_the_folder_of_revoked_links_must_be_there(tmp_path: Path) -> None:
    text = STORE + LINKS + 'revoked_file = "nowhere/revoked.txt"\n' + route('auth = "links"')
    with pytest.raises(ConfigError) as caught:
        parse_config(text, {}, name=f"{tmp_path}/c.toml")
    assert [mistake.key for mistake in caught.value.mistakes] == ["auth.links.revoked_file"]
