"""From the tables of the gateway itself to checked settings: what is left out has its default."""

from pathlib import Path

from .errors import ConfigError, Mistake, Report
from .files import existing_file
from .kinds import is_listen_address
from .tables import AdminTable, GatewayTable, TlsTable, TransfersTable
from .values import AdminConfig, GatewayConfig, TlsConfig, TransfersConfig

OFF = "off"


def build_gateway(table: GatewayTable, *, is_guarded: bool) -> GatewayConfig:
    """Return the settings of the gateway. Its documents tell of every route, so they are not for everybody
    where the routes are not.
    """
    settings = {"openapi": not is_guarded, **table.model_dump(exclude_none=True)}
    return GatewayConfig(**settings)


def build_transfers(table: TransfersTable) -> TransfersConfig:
    """Return how bodies are fetched."""
    return TransfersConfig(**table.model_dump(exclude_none=True))


def build_admin(table: AdminTable) -> AdminConfig:
    """Return where who looks after the gateway finds it."""
    hosts = table.allowed_hosts or ()
    if table.address is None:
        return AdminConfig(allowed_hosts=hosts)
    address = None if table.address == OFF else table.address
    return AdminConfig(address=address, is_chosen=True, allowed_hosts=hosts)


def admin_config(address: str, written: AdminConfig) -> AdminConfig:
    """Return the settings with an address that was chosen elsewhere; raises `ConfigError` if it is none."""
    if address != OFF and not is_listen_address(address):
        mistake = Mistake(None, "--admin", repr(address), "HOST:PORT, or 'off'")
        raise ConfigError("the command line", [mistake])
    chosen = None if address == OFF else address
    return AdminConfig(address=chosen, is_chosen=True, allowed_hosts=written.allowed_hosts)


def build_tls(table: TlsTable, base: Path, report: Report) -> TlsConfig | None:
    """Return the certificate and key to use; None where there is to be no TLS."""
    if table.certificate is None and table.key is None:
        if table.hsts_seconds is not None:
            report.add(("tls", "hsts_seconds"), "no certificate", "certificate and key beside it")
        return None
    files = {}
    for name, value in (("certificate", table.certificate), ("key", table.key)):
        if value is None:
            report.add(("tls", name), "nothing", "certificate and key, or neither")
        else:
            files[name] = existing_file(base, value, ("tls", name), report)
    if len(files) < 2:
        return None
    settings = {} if table.hsts_seconds is None else {"hsts_seconds": table.hsts_seconds}
    return TlsConfig(certificate=files["certificate"], key=files["key"], **settings)
