"""Who may read what: ways for a client to show who it is, for endpoints and for the gateway."""
