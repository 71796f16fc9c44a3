"""What follows from a failed attempt: a segment, or another task, is tried again, passed through or given up."""

from enum import Enum

from vidrestore.errors import RestorationError, StorageError, WorkerError
from vidrestore.runtime.worker_pool import TaskFailed


class Answer(Enum):
    """What follows from a failed attempt."""

    RETRY = "retry"
    PASS_THROUGH = "pass through"  # noqa: S105  no password
    """The segment is tried again, and its frames are left as they are."""
    GIVE_UP = "give up"
    """The video fails."""


def answer_to_failure(event: TaskFailed, *, attempt: int, retries: int, may_pass_through: bool) -> Answer:
    """Decide what follows from a failed attempt.

    Workers and stores fail for many reasons, so that a retry may help; a bad file stays bad. A worker that was stopped
    to make room is no failure, and does not count as an attempt.

    Args:
        event: the failure.
        attempt: number of failed attempts of this task, this one included.
        retries: number of times that a task is tried again.
        may_pass_through: whether the task is a segment that may be let through unrestored, and was not yet.
    """
    if event.preempted:
        return Answer.RETRY
    if isinstance(event.error, WorkerError | StorageError) and attempt <= retries:
        return Answer.RETRY
    if may_pass_through and isinstance(event.error, WorkerError | RestorationError):
        return Answer.PASS_THROUGH
    return Answer.GIVE_UP
