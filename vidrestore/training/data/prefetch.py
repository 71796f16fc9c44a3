"""Pictures of the next steps, made by a pool while the device works on this one."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from typing import Final

from vidrestore.types import UInt8

_CHECK_SECONDS: Final = 5.0


class LookAhead:
    """Keeps a pool busy with the next steps; any step can be requested, in or out of order.

    Args:
        pool: Does the work; closed with this.
        submit: Hands a step's pictures to the pool.
        steps: Number of steps that are made ahead: as many steps' pictures are held, and those of one more.
    """

    def __init__(self, pool: Executor, submit: Callable[[int], list[Future[UInt8]]], *, steps: int) -> None:
        self._pool = pool
        self._submit = submit
        self._steps = steps
        self._pending: dict[int, list[Future[UInt8]]] = {}

    def at(self, step: int) -> list[UInt8]:
        """Return the pictures of a step, in the order of `submit`; errors of the pool are raised here."""
        wanted = range(step, step + 1 + self._steps)
        for number in [pending for pending in self._pending if pending not in wanted]:
            _cancel(self._pending.pop(number))
        for number in wanted:
            if number not in self._pending:
                self._pending[number] = self._submit(number)
        return [self._await(picture) for picture in self._pending.pop(step)]

    def _await(self, picture: Future[UInt8]) -> UInt8:
        """Wait for a picture, and check now and then that the pool still runs.

        CPython's pool of processes may lose what is handed in at the moment at which one of them dies.
        """
        while not picture.done():
            if not wait([picture], timeout=_CHECK_SECONDS).done:
                self._pool.submit(int)  # raises where the pool is broken
        return picture.result()

    def close(self) -> None:
        """Drop what was made ahead and end the pool."""
        for pictures in self._pending.values():
            _cancel(pictures)
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _cancel(pictures: Iterable[Future[UInt8]]) -> None:
    for picture in pictures:
        picture.cancel()
