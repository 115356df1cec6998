"""What C's heap keeps: in a process of its own, because it is its owner's to say."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: Takes rows of logits as they come, and prints the page faults.
ROWS = """
import resource
from rkllm_twisted.runtime.malloc import return_freed_blocks

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

return_freed_blocks()
row = memoryview(bytes(600_000))
before = faults()
for _ in range(100):
    bytes(row)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's heap")
def test_memory_for_a_row_of_logits_is_not_new_each_time() -> None:
    """That would be 147 pages for each, which take longer than a copy."""
    done = subprocess.run([sys.executable, "-c", ROWS], capture_output=True, check=True)
    assert int(done.stdout) < 1000
