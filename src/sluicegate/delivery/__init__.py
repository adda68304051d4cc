"""Out to the client: the responses, and the pump that sends them."""
