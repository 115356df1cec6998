"""The NPU: one thread, the queue before it, the watch over it."""
