"""The semantics of HTTP, as functions that decide and do nothing else."""
