"""A configuration that has been checked: frozen values, never half valid.

Secrets and what may hold them are kept out of every `repr`. Times are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sluicegate import TransferOptions

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


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """Another service's answer: its URL, and how to ask for it."""

    template: UpstreamTemplate
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS
    read_timeout: float = READ_TIMEOUT_SECONDS
    tls_verify: bool | str = True
    request_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """A path and what it leads to, with what the answer says beyond what its origin says.

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
class Config:
    """A whole configuration; stores are by name, routes in the order of the file."""

    stores: Mapping[str, StoreConfig]
    routes: tuple[RouteConfig, ...]
    gateway: GatewayConfig = GatewayConfig()
    transfers: TransfersConfig = TransfersConfig()
