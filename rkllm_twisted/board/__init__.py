"""Examines a machine through its files, as far as RKLLM needs it.

:mod:`~rkllm_twisted.board.sysfs` reads files, below the machine's root or a test's;
:mod:`~rkllm_twisted.board.sensors` reads what changes (load, temperature, memory) and
:mod:`~rkllm_twisted.board.machine` what does not; :mod:`~rkllm_twisted.board.checks` judges.
``docs/runtime.md`` has the facts.
"""
