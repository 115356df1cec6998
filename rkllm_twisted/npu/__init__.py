"""The NPU: one thread, the queue in front of it, and the timeouts of its calls."""
