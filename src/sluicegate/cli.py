"""The `sluicegate` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command; without the `server` extra, say how to get it."""
    _fill_standard_streams()
    try:
        from sluicegate.gateway.commands import sluicegate  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("sluicegate"):
            raise
        sys.exit(
            f"sluicegate: {exc.name} is not installed; the command needs: pip install 'sluicegate[server]'"
        )
    sluicegate()


def _fill_standard_streams() -> None:
    """Open the null device where the command was started without a standard stream.

    The next file or socket would have that number else, and get what others write there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free. Workers begin with it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # They stay open to the end, as those that Python opens itself.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
