"""Child processes that live no longer than their parent.

A parent that is killed cannot clean up. So on Linux a child asks the kernel to be killed
when its parent dies. It asks in a tiny Python program that then becomes the child, since
code run between fork and exec may deadlock in a process that has threads. Elsewhere a
child outlives a killed parent; a parent that ends by itself always ends its children.
"""

import os
import sys
from collections.abc import Sequence

# PR_SET_PDEATHSIG = 1, SIGKILL = 9; and not at all if the parent is gone already.
_LEASH = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def leashed(command: Sequence[str]) -> list[str]:
    """`command` (its program an absolute path) as a command that dies with this process."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]
