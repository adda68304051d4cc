"""The bytes that all transfers of a process may hold ahead of their clients."""

from __future__ import annotations

from typing import Final

from sluicegate.sources.options import check_count


class Budget:
    """An account of `total` bytes. What is taken is given back by who took it, exactly once."""

    def __init__(self, total: int) -> None:
        check_count("total", total, 0, "bytes")
        self.total = total
        self.taken = 0

    def take(self, size: int) -> bool:
        """Take `size` bytes if they are left."""
        if self.taken + size > self.total:
            return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        """Give back `size` bytes that were taken."""
        self.taken -= size


PROCESS_BUDGET: Final = Budget(512 * 1024 * 1024)
"""What sources share that are given no budget of their own: memory is the process's, so is its account."""
