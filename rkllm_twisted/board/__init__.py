"""What a machine's files say of it, as far as RKLLM is concerned.

:mod:`~rkllm_twisted.board.sysfs` reads, below a root that is the machine's or a test's;
:mod:`~rkllm_twisted.board.sensors` makes values of what changes (load, temperature, memory) and
:mod:`~rkllm_twisted.board.machine` of what does not; :mod:`~rkllm_twisted.board.checks` judges.
``docs/runtime.md`` has the facts in words.
"""
