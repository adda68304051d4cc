"""What clients get when origins fail, over real sockets on both sides: docs/reliability.md."""
