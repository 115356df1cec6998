"""Measure whether the daemon keeps its limits."""
