"""Ollama's API: its JSON to parameters of the daemon's methods, and results to its JSON. Pure."""
