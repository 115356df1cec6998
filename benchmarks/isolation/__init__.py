"""The costs and benefits of running the runtime in its own process."""
