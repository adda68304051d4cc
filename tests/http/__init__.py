"""Tests of what HTTP means: tables and properties, no I/O."""
