"""What the daemon's limits hold to."""
