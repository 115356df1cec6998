"""Reads big messages in a process of their own, so that the reactor goes on."""
