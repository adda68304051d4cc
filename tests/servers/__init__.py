"""Real servers on loopback, each a context manager: started on free ports, ended by its own process id."""
