"""Stages and how they join: a video is a lazy stream of values, and a stage turns one stream into another.

Two kinds. A `Stage` sees one stream in order and may remember (the tracker). A `BatchStage` takes a list and
returns an equally long list, remembers nothing, and may therefore run anywhere, on any grouping of its input
(the detector, the restorer). An `Executor` decides where a batch stage runs. Pull is the back-pressure:
nothing is computed that nobody asked for, and every buffer here states its bound.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Literal, Protocol, TypeVar

from vidrestore.types import FrameFaces

In = TypeVar("In")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

_GLANCE_SECONDS = 0.1


class Stage(Protocol[In_contra, Out_co]):
    """A part that sees one stream in order and may remember."""

    def push(self, item: In_contra, /) -> Iterable[Out_co]:
        """Take one value; return the results that are ready."""
        ...

    def flush(self) -> Iterable[Out_co]:
        """Return what was held back; no more values will come."""
        ...


class BatchStage(Protocol[In_contra, Out_co]):
    """A part without memory: the result of one item does not depend on the others of its batch."""

    def __call__(self, items: Sequence[In_contra], /) -> Sequence[Out_co]:
        """Return one result per item, in order."""
        ...


class Executor(Protocol[In_contra, Out_co]):
    """A place where a batch stage runs."""

    def map(self, batches: Iterable[Sequence[In_contra]], /) -> Iterator[Sequence[Out_co]]:
        """Run each batch, keep the order, and read ahead no more than the executor's stated bound."""
        ...


class Inline(Executor[In, Out]):
    """Runs a batch stage in place; reads nothing ahead."""

    def __init__(self, stage: BatchStage[In, Out]) -> None:
        self._stage = stage

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Run each batch when its result is asked for."""
        return map(self._stage, batches)


class Threaded(Executor[In, Out]):
    """Hands batches to another executor in a thread; reads one ahead, so that making it overlaps with running one."""

    def __init__(self, executor: Executor[In, Out]) -> None:
        self._executor = executor

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Run each batch while the next is made."""
        with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
            pending: deque[Future[Sequence[Out]]] = deque()
            for batch in batches:
                pending.append(thread.submit(self._run, batch))
                if len(pending) > 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _run(self, batch: Sequence[In]) -> Sequence[Out]:
        (result,) = self._executor.map([batch])
        return result


def run(stage: Stage[In, Out], items: Iterable[In]) -> Iterator[Out]:
    """Run `items` through a stage, then yield what it held back."""
    for item in items:
        yield from stage.push(item)
    yield from stage.flush()


def run_ahead(items: Iterable[In]) -> Generator[In]:
    """Iterate over items in a separate thread, so that making them overlaps with using them.

    Holds one item, and one more that is being made. Closing the iterator ends the thread, once the item that it is
    making is made; what the items raise is raised here.
    """
    ahead = _Ahead(items)
    try:
        yield from ahead
    finally:
        ahead.close()


class _Ahead(Generic[In]):
    def __init__(self, items: Iterable[In]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[Literal["item", "end", "error"], Any]] = queue.Queue(1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[In]:
        while True:
            what, value = self._ready.get()
            if what == "error":
                raise value
            if what == "end":
                return
            yield value

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _draw(self) -> None:
        try:
            for item in self._items:
                self._hand("item", item)
                if self._closed.is_set():
                    return
            self._hand("end", None)
        except BaseException as error:  # noqa: BLE001  it is raised where the items are drawn
            self._hand("error", error)
        finally:
            if isinstance(self._items, Generator):
                self._items.close()

    def _hand(self, what: Literal["item", "end", "error"], value: object) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put((what, value), timeout=_GLANCE_SECONDS)
            except queue.Full:
                continue
            return


def batched(items: Iterable[In], *, weight: Callable[[In], int], full: int, longest: int) -> Iterator[list[In]]:
    """Group items in order until their weights sum to `full` or more, or `longest` items are held."""
    batch: list[In] = []
    total = 0
    for item in items:
        batch.append(item)
        total += weight(item)
        if total >= full or len(batch) >= longest:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def map_faces(
    executor: Executor[In, Out], items: Iterable[FrameFaces[In]], *, batch_size: int, longest: int
) -> Iterator[FrameFaces[Out]]:
    """Run every face of a stream through a batch stage, in batches that reach across frames.

    Holds at most `longest` frames a batch, and as many batches as the executor reads ahead, plus one.
    """
    held: deque[list[FrameFaces[In]]] = deque()

    def faces() -> Iterator[list[In]]:
        for group in batched(items, weight=lambda item: len(item.faces), full=batch_size, longest=longest):
            held.append(group)
            yield [face for item in group for face in item.faces]

    for results in executor.map(faces()):
        group = held.popleft()
        wanted = sum(len(item.faces) for item in group)
        assert len(results) == wanted, f"a batch stage gave {len(results)} results for {wanted} faces"  # noqa: S101
        remaining = iter(results)
        for item in group:
            yield FrameFaces(item.frame, tuple(next(remaining) for _ in item.faces), item.shot, item.detector_ran)
