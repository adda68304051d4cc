"""From a TOML file to a server: the library's first user, on public names only."""
