"""The daemon's own RPC methods, one module each; ``twisted/plugins/rkllm_methods.py`` names them.

A third party's method looks just like these: see ``docs/writing-methods.md``.
"""
