"""What a machine's files say of it, as far as RKLLM is concerned.

:mod:`~rkllm_twisted.board.files` reads, below a root that is the machine's or a test's;
:mod:`~rkllm_twisted.board.readings` makes values of what changes (load, temperature, memory) and
:mod:`~rkllm_twisted.board.facts` of what does not; :mod:`~rkllm_twisted.board.checks` judges.
``docs/boards.md`` has the facts in words.
"""
