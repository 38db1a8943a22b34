"""Memory that is freed and asked for again costs page faults, or does not."""

import subprocess
import sys

import pytest

AGAIN = """
import resource, sys
import numpy as np
from mashjax.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(2**25).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(2**25).sum()  # 256 MB each
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_memory_that_is_kept_faults_once():
    def faults(how):
        run = subprocess.run([sys.executable, "-c", AGAIN, how], capture_output=True, text=True)
        return int(run.stdout)

    assert faults("keep") < 100
    assert faults("as it comes") > 400  # at least one per 2 MB, or more of 4 kB
