"""Where the runtime lives: a supervised process of its own, or a thread of the daemon's."""
