"""Recognises the kind of a file by its bytes. Pure: the caller reads the file."""
