"""Benchmarks, run from the project's directory: ``python -m benchmarks.suite`` (`make bench`),
``python -m benchmarks.limits`` and ``python -m benchmarks.isolation``.
"""
