"""What a client knows of a daemon: pure, and the same for every kind of client."""
