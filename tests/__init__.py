"""Tests of Sluicegate."""
