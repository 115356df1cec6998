"""The parts that both kinds of client share: pure code, except for ``unix_socket``."""
