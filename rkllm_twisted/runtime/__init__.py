"""The C library in this process: find it, load it, call it."""
