"""A configuration that has been checked: frozen values, never half valid.

Secrets and what may hold them are kept out of every `repr`. Times are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sluicegate import TransferOptions
from sluicegate.access.bearer_options import BearerOptions
from sluicegate.access.forward_options import ForwardOptions
from sluicegate.access.links import DEFAULT_OPTIONS, LinkOptions
from sluicegate.access.rates import MEMORY, NAMESPACE
from sluicegate.http.active_content import ActiveContent
from sluicegate.http.cors import CorsPolicy
from sluicegate.http.ranges import MAX_RANGES

from ..targets import ObjectTemplate, UpstreamTemplate
from ..templates import RouteTemplate

CONNECT_TIMEOUT_SECONDS = 5.0
"""How long a connection to an origin may take to be made."""

READ_TIMEOUT_SECONDS = 60.0
"""How long an origin may send nothing; never a limit on the whole transfer."""


Client = Literal["obstore", "aiobotocore", "botocore"]
Addressing = Literal["path", "virtual"]
Disposition = Literal["inline", "attachment"]
LogStyle = Literal["auto", "json", "text"]
AuthType = Literal["signed", "jwt", "api_key", "basic", "forward"]

PUBLIC = "public"
"""In the place of the name of an `[auth.NAME]`: anybody may read."""

_TRANSFERS = TransferOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """A store by its name in the file: where it is, the client to use, and its options.

    An option that does not apply to the scheme of `url` has its default. Credentials that are None come from
    the usual chain of the provider. `tls_verify` is whether certificates are checked, or the file of the
    authorities to check them by; files and the folder of a `file://` URL are absolute.
    """

    name: str
    url: str
    client: Client = "obstore"
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    anonymous: bool = False
    addressing: Addressing = "path"
    tls_verify: bool | str = True
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS
    read_timeout: float = READ_TIMEOUT_SECONDS
    account_name: str | None = None
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    service_account_file: str | None = None
    probe: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAuth:
    """Signed links: secrets by key id, of which the first signs."""

    name: str
    keys: Mapping[str, str] = field(repr=False)
    options: LinkOptions = DEFAULT_OPTIONS
    revoked_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuth:
    """Tokens of an OpenID provider, or of whoever has the private key."""

    name: str
    options: BearerOptions
    jwks_url: str | None = field(default=None, repr=False)
    key_file: str | None = None
    tls_verify: bool | str = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyAuth:
    """API keys: their hashes by the name of who has them."""

    name: str
    keys: Mapping[str, tuple[str, ...]] = field(repr=False)
    header: str = "x-api-key"
    parameter: str | None = None
    realm: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """Users and the hashes of their passwords."""

    name: str
    users: Mapping[str, str] = field(repr=False)
    realm: str = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthConfig:
    """A service that is asked for each request."""

    name: str
    options: ForwardOptions


AuthConfig = SignedAuth | JwtAuth | ApiKeyAuth | BasicAuth | ForwardAuthConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """How much is allowed at once and in a time; 0 and `None` are no limit. Rates are `"10/second"`."""

    transfers: int = 0
    client_transfers: int = 0
    requests: str | None = None
    client_requests: str | None = None
    bytes_per_second: int = 0
    client_bytes_per_second: int = 0

    @property
    def is_none(self) -> bool:
        """Whether everything is allowed."""
        numbers = (self.transfers, self.client_transfers, self.bytes_per_second, self.client_bytes_per_second)
        return not any((*numbers, self.requests, self.client_requests))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimitsConfig(LimitsConfig):
    """The limits of the gateway as a whole. Sizes are in bytes, times in seconds."""

    max_head: int = 64 * 1024
    max_url: int = 8 * 1024
    max_fields: int = 100
    max_ranges: int = MAX_RANGES
    max_connections: int = 0
    head_timeout: float = 10.0
    storage: str = field(default=MEMORY, repr=False)
    namespace: str = NAMESPACE
    on_failure: Literal["allow", "deny"] = "allow"

    @property
    def is_counted_here(self) -> bool:
        """Whether each process counts for itself."""
        return self.storage == MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """Another service's answer: its URL, and how to ask for it."""

    template: UpstreamTemplate
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS
    read_timeout: float = READ_TIMEOUT_SECONDS
    tls_verify: bool | str = True
    request_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    redirects: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    public_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """A path and what it leads to, with what the answer says beyond what its origin says.

    `auth` are names of ways to show who one is, of which one is enough; none is for a route that is public.
    `headers` are further fields of the answer, names in lower case. `filename` is never set without
    `disposition`.
    """

    path: RouteTemplate
    target: ObjectTemplate | UpstreamConfig
    media_type: str | None = None
    summary: str | None = None
    description: str | None = None
    filename: str | None = None
    disposition: Disposition | None = None
    cache_control: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    auth: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("GET", "HEAD")
    stores: tuple[str, ...] = ()
    key_prefixes: tuple[str, ...] = ()
    active_content: ActiveContent = "sandbox"
    cors: CorsPolicy | None = None
    limits: LimitsConfig = LimitsConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of the gateway as a whole.

    `drain_timeout` is how long, in seconds, transfers that are under way may take to end after SIGTERM.
    """

    denied_status: Literal[404, 403] = 404
    title: str = "Sluicegate"
    openapi: bool = True
    drain_timeout: float = 30.0
    log: LogStyle = "auto"
    trusted_proxies: tuple[str, ...] = ()
    server_timing: bool = False
    tracing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransfersConfig:
    """How bodies are fetched, and how slow clients may be: sizes in bytes, times in seconds.

    `read_ahead_total` is for all transfers of a process. A `park_after` of 0 is never, a `min_drain_rate`
    of 0 (in bytes a second) is no limit.
    """

    part_size: int = _TRANSFERS.part_size
    read_ahead: int = _TRANSFERS.read_ahead
    read_ahead_total: int = 512 * 1024**2
    park_after: float = _TRANSFERS.park_after or 0.0
    give_up_after: float = _TRANSFERS.give_up_after
    min_drain_rate: int = 0
    min_drain_seconds: float = 30.0

    @property
    def options(self) -> TransferOptions:
        """What sources are opened with."""
        return TransferOptions(
            part_size=self.part_size,
            read_ahead=self.read_ahead,
            park_after=self.park_after or None,
            give_up_after=self.give_up_after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """Where who looks after the gateway finds it; `address` is `None` for nowhere.

    An address that nobody has chosen is given up if another process has it.
    """

    address: str | None = "127.0.0.1:9464"
    is_chosen: bool = False
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The gateway's own certificate and key, as paths of PEM files."""

    certificate: str
    key: str
    hsts_seconds: int = 31_536_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration; stores and ways to show who one is are by name, routes in the file's order."""

    stores: Mapping[str, StoreConfig]
    routes: tuple[RouteConfig, ...]
    auth: Mapping[str, AuthConfig] = field(default_factory=dict)
    limits: ServerLimitsConfig = ServerLimitsConfig()
    gateway: GatewayConfig = GatewayConfig()
    transfers: TransfersConfig = TransfersConfig()
    admin: AdminConfig = AdminConfig()
    tls: TlsConfig | None = None
