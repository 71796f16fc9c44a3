"""Settings of this process and of those that it starts; the library by itself sets none.

`python -m` and `python -c`, which is how multiprocessing starts its children, put the current folder first on the
import path: a file `av.py` among downloaded videos would run. Python's safe path, the option `-P`, leaves it out.
"""

import os
import sys
from multiprocessing import get_context
from multiprocessing.context import SpawnContext


def wait_passively() -> None:
    """Let threads of a parallel region that ran out of work sleep instead of spin, unless the environment says so.

    With an encoder, a decoder or another worker on the same cores, spinning slows the networks down several times.
    Call it before torch loads its OpenMP; child processes inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def enable_safe_path() -> None:
    """Leave the current folder out of the import path of every Python that this process starts from now on."""
    os.environ["PYTHONSAFEPATH"] = "1"


def spawn_context() -> SpawnContext:
    """Return multiprocessing's spawn context, with the safe path enabled for its children and its resource tracker."""
    enable_safe_path()
    return get_context("spawn")


def module_command(module: str) -> list[str]:
    """Return the command line that runs a module of this Python's environment."""
    return [sys.executable, "-P", "-m", module]
