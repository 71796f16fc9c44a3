"""Child processes of Python that import nothing from the current folder, which may hold anybody's files.

`python -m` and `python -c`, which is how multiprocessing starts its children, put the current folder first on the
import path: a file `av.py` among downloaded videos would run. Python's safe path, the option `-P`, leaves it out.
"""

import os
import sys
from multiprocessing import get_context
from multiprocessing.context import SpawnContext


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
