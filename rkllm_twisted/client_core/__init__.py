"""What every kind of client needs: pure code, except for ``unix_socket``."""
