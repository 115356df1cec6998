"""Checks what the code assumes of librkllmrt on a real one: ``python -m rkllm_twisted.contract``.

Each assumption is checked in a process of its own, since a library may hang or crash at any of
them. See ``docs/operations.md``.
"""
