"""Benchmarks, run from the project's directory: ``python -m benchmarks.suite`` (`make bench`),
``python -m benchmarks.limits``, ``python -m benchmarks.isolation``, and
``python -m benchmarks.beside`` for another checkout.
"""
