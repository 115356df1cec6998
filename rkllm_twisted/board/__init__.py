"""Examines what RKLLM needs of a machine, through the machine's files.

:mod:`~rkllm_twisted.board.sysfs` reads files, below the machine's root or a test's;
:mod:`~rkllm_twisted.board.sensors` reads the values that change (load, temperature,
memory), :mod:`~rkllm_twisted.board.machine` the others; :mod:`~rkllm_twisted.board.checks` judges.
``docs/runtime.md`` has the facts.
"""
