"""Tests of what the benchmarks print, keep, draw and run."""
