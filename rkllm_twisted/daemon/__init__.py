"""Starts the daemon: reads the options, assembles the parts, and handles `--check`."""
