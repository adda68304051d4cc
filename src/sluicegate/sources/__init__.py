"""The origins: stores and services, each behind the same small interface."""
