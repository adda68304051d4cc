"""Fuzzing: targets that take any bytes, inputs that are kept, and what runs the one with the other."""
