"""Become another program that dies with the process which started this one.

    python leash.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT…]

The kernel sends SIGNAL when the thread of PARENT that started this ends, even by `kill -9`: no node outlives its run.
UID and GID are the user to become first, or `-`. A wrapper, not `preexec_fn`, which may deadlock beside threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, uid: str, gid: str, *command: str) -> None:
    """Set the leash and become `command`."""
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # after setuid, which clears it
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal)) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        sys.exit("the parent died before the leash was set")
    os.execv(command[0], command)  # noqa: S606  no shell is wanted: this process becomes the node


if __name__ == "__main__":
    main(*sys.argv[1:])
