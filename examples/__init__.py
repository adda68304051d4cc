"""Examples of the library."""
