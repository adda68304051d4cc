"""Configurations: from a TOML text to checked values, or to every mistake in it at once."""

from .errors import ConfigError, Mistake
from .loading import load_admin, load_config, parse_config
from .serving import admin_config
from .values import (
    AdminConfig,
    Config,
    GatewayConfig,
    LimitsConfig,
    RouteConfig,
    StoreConfig,
    TlsConfig,
    TransfersConfig,
    UpstreamConfig,
)

__all__ = [
    "AdminConfig",
    "Config",
    "ConfigError",
    "GatewayConfig",
    "LimitsConfig",
    "Mistake",
    "RouteConfig",
    "StoreConfig",
    "TlsConfig",
    "TransfersConfig",
    "UpstreamConfig",
    "admin_config",
    "load_admin",
    "load_config",
    "parse_config",
]
