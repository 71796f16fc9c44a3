"""Pictures of the next steps, made by a pool while the device works on this one."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future

from vidrestore.types import UInt8


class LookAhead:
    """Keeps a pool busy with the steps to come; whatever step is asked for comes, in or out of order.

    Args:
        pool: Does the work; closed with this.
        submit: Hands a step's pictures to the pool.
        steps: How many steps are made ahead: as many steps' pictures are held, and those of one more.
    """

    def __init__(self, pool: Executor, submit: Callable[[int], list[Future[UInt8]]], *, steps: int) -> None:
        self._pool = pool
        self._submit = submit
        self._steps = steps
        self._pending: dict[int, list[Future[UInt8]]] = {}

    def at(self, step: int) -> list[UInt8]:
        """The pictures of a step, in the order of `submit`; what their making raised is raised here."""
        wanted = range(step, step + 1 + self._steps)
        for number in [pending for pending in self._pending if pending not in wanted]:
            _cancel(self._pending.pop(number))
        for number in wanted:
            if number not in self._pending:
                self._pending[number] = self._submit(number)
        return [picture.result() for picture in self._pending.pop(step)]

    def close(self) -> None:
        """Forget what was made ahead and end the pool."""
        for pictures in self._pending.values():
            _cancel(pictures)
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _cancel(pictures: Iterable[Future[UInt8]]) -> None:
    for picture in pictures:
        picture.cancel()
