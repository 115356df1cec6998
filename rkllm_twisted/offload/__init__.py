"""Parses large messages in a process of their own, so that the reactor serves other clients."""
