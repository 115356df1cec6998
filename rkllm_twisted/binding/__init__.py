"""librkllmrt in Python: layouts as data, JSON to C and back, and the one object that owns a handle.

``abi``, ``layouts``, ``arguments``, ``scalars``, ``arrays``, ``to_c``, ``from_c`` and ``prepare``
are pure. ``library`` finds and opens the file, ``recognise`` says which release it is, ``runtime``
calls it. See :func:`rkllm_twisted.binding.runtime.open_runtime`.
"""
