"""Where objects live: one file a kind, all passing the contract of `sluicegate.testing`."""
