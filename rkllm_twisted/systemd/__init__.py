"""What the daemon and systemd exchange: an open socket, notifications, a watchdog."""
