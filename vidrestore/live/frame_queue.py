"""The queue between the source, which does not wait, and the engine, which may be late: frames are dropped here."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DropOldestQueue(Generic[T]):
    """A bounded queue between two threads; when it is full, or its content has grown old, the oldest item is dropped.

    Args:
        frames: maximum number of items.
        longest_wait: nanoseconds that an item may have waited when it is taken, as long as there is a newer one.
        blocking: whether the source waits instead (`complete` mode).
        clock: returns nanoseconds that only rise.
    """

    def __init__(
        self, *, frames: int, longest_wait: int, blocking: bool, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._frames = frames
        self._longest_wait = longest_wait
        self._blocking = blocking
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        self.received = 0
        self.overflowed = 0
        """Items dropped because the queue was full."""
        self.outdated = 0
        """Items dropped because they waited too long."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Hand over an item; after `close` it is dropped, and counted."""
        with self._changed:
            self._changed.wait_for(lambda: not self._blocking or len(self._items) < self._frames or self._closed)
            self.received += 1
            if self._closed:
                self.overflowed += 1
                return
            if len(self._items) >= self._frames:
                self._items.popleft()
                self.overflowed += 1
            self._items.append((item, self._clock()))
            self._changed.notify_all()

    def take(self, *, timeout: float) -> T | None:
        """Return the oldest item that did not wait too long; None when none comes within `timeout` seconds, or ever."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout) or not self._items:
                return None
            now = self._clock()
            while not self._blocking and len(self._items) > 1 and now - self._items[0][1] > self._longest_wait:
                self._items.popleft()
                self.outdated += 1
            item, _ = self._items.popleft()
            self._changed.notify_all()
            return item

    @property
    def dropped(self) -> int:
        """Number of items that never reach the engine."""
        return self.overflowed + self.outdated

    @property
    def ended(self) -> bool:
        """Whether nothing more will come out."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Refuse further items; those that are held can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
