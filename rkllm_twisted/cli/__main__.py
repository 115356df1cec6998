"""``python -m rkllm_twisted.cli``, where no ``rkllm`` is on the path."""

from rkllm_twisted.cli import main

main()
