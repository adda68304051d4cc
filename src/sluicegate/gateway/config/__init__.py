"""Configurations: from a TOML text to checked values, or to every mistake in it at once."""

from .errors import ConfigError, Mistake
from .loading import load_config, parse_config
from .values import Config, GatewayConfig, RouteConfig, StoreConfig, TransfersConfig, UpstreamConfig

__all__ = [
    "Config",
    "ConfigError",
    "GatewayConfig",
    "Mistake",
    "RouteConfig",
    "StoreConfig",
    "TransfersConfig",
    "UpstreamConfig",
    "load_config",
    "parse_config",
]
