"""What passes between the daemon and systemd: an open socket, news of its state, a watchdog."""
