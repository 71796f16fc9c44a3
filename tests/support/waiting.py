"""How a test waits for something of another thread or process."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Wait until the condition holds; fail when it has not after `seconds`, which may be generous: most never pass."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(0.02)
