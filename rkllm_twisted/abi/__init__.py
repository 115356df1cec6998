"""Converts between JSON and the structures of rkllm.h, with a table for each release."""
