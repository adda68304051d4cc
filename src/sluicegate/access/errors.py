"""What can go wrong before any client is judged."""

from __future__ import annotations

from sluicegate.errors import SluicegateError


class BadCredentials(SluicegateError, ValueError):
    """What the operator configured cannot be used; the message says where it stands, never what it holds."""
