"""Starts the daemon: options, `--check`, the parts put together."""
