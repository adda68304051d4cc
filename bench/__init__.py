"""Benchmarks against real servers on loopback; `python -m bench` in the root of the repository lists them."""
