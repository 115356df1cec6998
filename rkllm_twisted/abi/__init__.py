"""rkllm.h by release, as data: JSON to and from the structures of the C interface."""
