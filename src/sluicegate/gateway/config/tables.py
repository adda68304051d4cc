"""The shape of the file: which tables and keys there are. What stands below a key, the schema says of it.

Every key is optional here. What must be there, and what must fit together, is decided where the tables are
read (`stores`, `routes`, `auth`), so that one mistake does not hide another.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluicegate.http.active_content import ActiveContent

from .kinds import (
    Count,
    Credential,
    DeniedStatus,
    FieldName,
    FieldValue,
    FileName,
    Hosts,
    ListenAddress,
    MediaType,
    Methods,
    Networks,
    OneLine,
    Origins,
    PartSize,
    Rate,
    Region,
    Seconds,
    SecondsOrNever,
    SecondsOrNone,
    Size,
    SomeTexts,
    Switch,
    Text,
    Texts,
    Verification,
    WhoMayRead,
)
from .values import Addressing, AuthType, Client, Disposition, LogStyle


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class StoreTable(_Table):
    """A place where objects live."""

    url: Text | None = None
    """s3://BUCKET, gs://BUCKET, az://CONTAINER, each with or without /PREFIX; file:///FOLDER; memory://."""
    endpoint_url: Text | None = None
    """Another server that speaks the same API."""
    region: Region | None = None
    """Region of the bucket."""
    access_key_id: Credential | None = None
    """Needs secret_access_key. Without both, the provider's usual chain is asked."""
    secret_access_key: Credential | None = None
    """Needs access_key_id."""
    session_token: Credential | None = None
    """Of temporary credentials; needs both keys."""
    profile: OneLine | None = None
    """A profile of the shared AWS files, instead of keys."""
    anonymous: Switch | None = None
    """Send no credentials."""
    addressing: Addressing | None = None
    """The bucket in the path, or in the host name."""
    tls_verify: Verification | None = None
    """Check certificates, or check them by this file of authorities (PEM)."""
    client: Client | None = None
    """The library that fetches objects."""
    connect_timeout: Seconds | None = None
    """Seconds to make a connection."""
    read_timeout: Seconds | None = None
    """Seconds without any progress."""
    account_name: Credential | None = None
    """Azure storage account."""
    account_key: Credential | None = None
    """Key of the Azure account; excludes sas_token."""
    sas_token: Credential | None = None
    """Azure shared access signature."""
    service_account_file: Text | None = None
    """JSON key file of a Google service account."""
    probe: Text | None = None
    """Key of an object that /readyz asks for: it proves that the credentials may read."""


class LimitsTable(_Table):
    """How much is allowed at once, and in a time. 0 is no limit."""

    transfers: Count | None = None
    """Transfers at once, in each process; more are answered with 503."""
    client_transfers: Count | None = None
    """Transfers at once of one client's address, in each process; more are answered with 429."""
    requests: Rate | None = None
    """Requests in a time, of all clients together."""
    client_requests: Rate | None = None
    """Requests in a time, of one client's address."""
    bytes_per_second: Size | None = None
    """Bytes a second of content, of all transfers of a process together."""
    client_bytes_per_second: Size | None = None
    """Bytes a second of content, of one client's address in a process."""


class ServerLimitsTable(LimitsTable):
    """Limits of the gateway as a whole."""

    max_head: Size | None = None
    """Bytes of a request before its body; more are answered with 431."""
    max_url: Size | None = None
    """Bytes of a request's target; more are answered with 414."""
    max_fields: Count | None = None
    """Header fields of a request; more are answered with 431."""
    max_ranges: Count | None = None
    """Ranges in a request; a field with more of them is ignored, and the whole object is the answer."""
    max_connections: Count | None = None
    """Connections at once, in each process; further ones are answered with 503 and closed."""
    head_timeout: Seconds | None = None
    """Seconds in which the head of a request has to be complete."""
    storage: Text | None = None
    """Where rates and uses of links are counted: memory://, or redis://HOST:PORT for several processes."""
    namespace: Text | None = None
    """What every key in Redis begins with: gateways that share it share their counts."""
    on_failure: Literal["allow", "deny"] | None = None
    """What a rate that cannot be counted, for Redis is away, means for a request."""


class CorsTable(_Table):
    """Which sites' scripts may read the answers."""

    origins: Origins | None = None
    """Origins such as https://app.example.com, or * for all; an empty array for none."""
    credentials: Switch | None = None
    """Whether cookies and Authorization may come with a request; not with *."""
    max_age: Count | None = None
    """Seconds for which a browser need not ask again."""


class AuthTable(_Table):
    """A way for a client to show who it is. Which keys there are depends on the type."""

    type: AuthType | None = None
    """signed, jwt, api_key, basic or forward."""
    keys: dict[str, SomeTexts] | None = None
    """signed: secrets by key id, the first one signs. api_key: hashes by the name of who has the key."""
    parameter: Text | None = None
    """Query parameter of the token or key."""
    cookie: Text | None = None
    """Cookie of the token."""
    cookie_for_prefix: Switch | None = None
    """signed: answer a link for a prefix with the cookie, so that what its page asks for is allowed too."""
    insecure_cookie: Switch | None = None
    """signed: let that cookie go over plain HTTP."""
    revoked_file: Text | None = None
    """signed: a file of the ids of links that are not valid any more."""
    issuer: OneLine | None = None
    """jwt: who issues the tokens; its discovery document names the keys if nothing here does."""
    audience: Texts | None = None
    """jwt: whom the tokens are for; one of them is enough."""
    jwks_url: OneLine | None = None
    """jwt: where the public keys are."""
    key_file: Text | None = None
    """jwt: a file with the public keys (JWKS), or one key (PEM)."""
    algorithms: Texts | None = None
    """jwt: the algorithms that are accepted, such as RS256 or ES256."""
    leeway: SecondsOrNone | None = None
    """jwt: seconds by which clocks may differ."""
    required_claims: dict[str, str] | None = None
    """jwt: claims and what each must be, or hold."""
    realm: Text | None = None
    """jwt, api_key, basic: the name in the challenge."""
    header: FieldName | None = None
    """api_key: the header field of the key."""
    users: dict[str, Text] | None = None
    """basic: hashes of passwords by user; `sluicegate hash-password` makes them."""
    url: Text | None = None
    """forward: the service to ask."""
    timeout: Seconds | None = None
    """forward: seconds that it may take."""
    cache_seconds: SecondsOrNever | None = None
    """forward: how long a verdict counts for the same request."""
    forward_fields: Texts | None = None
    """forward: the client's header fields that it gets."""
    request_headers: dict[str, str] | None = None
    """forward: further header fields that it gets."""
    key_field: FieldName | None = None
    """forward: the field of its answer that holds the key of the object."""
    subject_field: FieldName | None = None
    """forward: the field of its answer that says who the client is."""
    claim_fields: dict[str, str] | None = None
    """forward: claims, and the fields of its answer that hold them."""
    tls_verify: Verification | None = None
    """jwt, forward: as for stores."""


class RouteTable(_Table):
    """A path, and what it leads to."""

    path: str | None = None
    """The paths that the route answers, such as /files/{key:path}."""
    object: str | None = None
    """The object: STORE:KEY, with placeholders in the key."""
    upstream: str | None = None
    """The address of another service, with placeholders in its path."""
    auth: WhoMayRead | None = None
    """Who may read: the name of an [auth.NAME], several of which one is enough, or "public"."""
    methods: Methods | None = None
    """GET, HEAD or both; others never reach an origin."""
    stores: SomeTexts | None = None
    """The stores that a placeholder in the place of the store may name."""
    key_prefixes: SomeTexts | None = None
    """What keys must begin with; each ends with a slash."""
    media_type: MediaType | None = None
    """Content-Type of the answer."""
    summary: Text | None = None
    """Title in /docs."""
    description: Text | None = None
    """Text in /docs."""
    filename: FileName | None = None
    """The name to save under."""
    disposition: Disposition | None = None
    """Whether browsers show or save it."""
    cache_control: FieldValue | None = None
    """Cache-Control of the answer."""
    headers: dict[str, str] | None = None
    """Further header fields of the answer."""
    active_content: ActiveContent | None = None
    """What to do with pages and pictures that a browser would run scripts of."""
    cors: CorsTable | None = None
    """Which sites' scripts may read the answers, instead of the default."""
    limits: LimitsTable | None = None
    """How much of this route is allowed, beside the limits of the gateway."""
    connect_timeout: Seconds | None = None
    """upstream: seconds to make a connection."""
    read_timeout: Seconds | None = None
    """upstream: seconds without any progress."""
    tls_verify: Verification | None = None
    """upstream: as for stores."""
    request_headers: dict[str, str] | None = None
    """upstream: header fields sent to it."""
    redirects: Texts | None = None
    """upstream: hosts that it may redirect to, such as cdn.example.com or *.example.com."""
    allow_networks: Networks | None = None
    """upstream: networks that are not public and that a redirect may lead into."""
    public_only: Switch | None = None
    """upstream: its own address must be public too."""


class DefaultsTable(_Table):
    """What counts for every route that does not say otherwise."""

    auth: WhoMayRead | None = None
    """Who may read."""
    active_content: ActiveContent | None = None
    """What to do with pages and pictures that a browser would run scripts of."""
    cors: CorsTable | None = None
    """Which sites' scripts may read the answers."""


class GatewayTable(_Table):
    """The gateway as a whole."""

    denied_status: DeniedStatus | None = None
    """What a client gets where the origin denies: 404 or 403."""
    title: Text | None = None
    """Title of the OpenAPI document."""
    openapi: Switch | None = None
    """Serve /docs and /openapi.json; by default only where no route needs to be allowed."""
    drain_timeout: Seconds | None = None
    """Seconds that transfers may take to end after SIGTERM."""
    log: LogStyle | None = None
    """How the log is written."""
    trusted_proxies: Networks | None = None
    """Networks of proxies in front, whose X-Forwarded-For says who the client is."""
    server_timing: Switch | None = None
    """Tell clients in Server-Timing how long the origin took."""
    tracing: Switch | None = None
    """Send a span of each transfer by OpenTelemetry, as the OTEL_ variables say."""


class TransfersTable(_Table):
    """How bodies are fetched, and how slow clients may be."""

    part_size: PartSize | None = None
    """Bodies are fetched in parts of this size."""
    read_ahead: Size | None = None
    """What one transfer may hold of the parts ahead of its client."""
    read_ahead_total: Size | None = None
    """The same for all transfers of a process together."""
    park_after: SecondsOrNever | None = None
    """Seconds without the client taking anything, after which the origin is let go."""
    give_up_after: Seconds | None = None
    """Seconds without a byte from the origin, after which a transfer has failed."""
    min_drain_rate: Size | None = None
    """Bytes a second that a client must take."""
    min_drain_seconds: Seconds | None = None
    """Over how many seconds that is averaged."""


class AdminTable(_Table):
    """The address for who looks after the gateway: metrics, readiness, reload."""

    address: ListenAddress | None = None
    """Address and port, or "off"."""
    allowed_hosts: Hosts | None = None
    """Names by which it may be asked, beside addresses and localhost."""


class TlsTable(_Table):
    """TLS of the gateway itself."""

    certificate: Text | None = None
    """File of the certificate and those between it and the authority (PEM)."""
    key: Text | None = None
    """File of its private key (PEM)."""
    hsts_seconds: Count | None = None
    """max-age of Strict-Transport-Security; 0 for none."""


class FileTable(_Table):
    """Configuration of the Sluicegate gateway."""

    stores: dict[str, StoreTable] = {}
    """Places where objects live, by name."""
    routes: list[RouteTable] = []
    """Paths, and what they lead to."""
    auth: dict[str, AuthTable] = {}
    """Ways for clients to show who they are, by name."""
    defaults: DefaultsTable = DefaultsTable()
    """What counts for every route that does not say otherwise."""
    limits: ServerLimitsTable = ServerLimitsTable()
    """Limits of the gateway as a whole."""
    gateway: GatewayTable = GatewayTable()
    """The gateway as a whole."""
    transfers: TransfersTable = TransfersTable()
    """How bodies are fetched, and how slow clients may be."""
    admin: AdminTable = AdminTable()
    """The address for who looks after the gateway."""
    tls: TlsTable = TlsTable()
    """TLS of the gateway itself."""
