"""What happens to a body on its way from a source to the client."""
