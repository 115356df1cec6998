"""The wire: bytes to messages and back. No I/O, no reactor, no clock, no thread."""
