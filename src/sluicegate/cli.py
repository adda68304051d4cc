"""The `sluicegate` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; without the `server` extra, say how to get it."""
    try:
        from sluicegate.gateway.commands import sluicegate  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("sluicegate"):
            raise
        sys.exit(
            f"sluicegate: {exc.name} is not installed; the command needs: pip install 'sluicegate[server]'"
        )
    sluicegate()
