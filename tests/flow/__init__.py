"""Tests of what happens between a request and its source."""
