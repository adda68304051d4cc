"""The `sluicegate` command with more time for Redis than an operator would give it: for busy machines.

A Redis that is gone refuses at once, and is noticed as soon as ever; one that is slow for a moment is not
gone.
"""

from sluicegate.access.rates import Rates
from sluicegate.cli import main

REDIS_SECONDS = 10.0

if __name__ == "__main__":
    # No setting of the gateway says this, and the command begins in another process.
    defaults = Rates.__init__.__kwdefaults__
    assert defaults is not None
    assert "timeout_seconds" in defaults
    defaults["timeout_seconds"] = REDIS_SECONDS
    main()
