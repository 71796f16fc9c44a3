"""Settings of the whole process, for programs of our own: the command and Ray's workers. The library sets none."""

import os


def wait_passively() -> None:
    """Let threads of a parallel region that ran out of work sleep instead of spin, unless the environment says so.

    With an encoder, a decoder or another worker on the same cores, spinning slows the networks down several times.
    Call it before torch loads its OpenMP; child processes inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
