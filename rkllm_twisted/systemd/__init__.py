"""The exchange between the daemon and systemd: an open socket, notifications, a watchdog."""
