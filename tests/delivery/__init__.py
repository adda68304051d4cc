"""The responses over real sockets, under every server that the project names, and the pieces of them."""
