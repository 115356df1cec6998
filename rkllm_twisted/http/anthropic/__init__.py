"""Anthropic's API: its JSON to parameters of the daemon's methods, and back. Pure."""
