"""What follows from a failed attempt."""

import pytest

from vidrestore.errors import InputError, RestorationError, StorageError, VidrestoreError, WorkerError
from vidrestore.jobs.retries import Answer, answer_to_failure
from vidrestore.runtime.worker_pool import TaskFailed


@pytest.mark.parametrize(
    ("error", "attempt", "may_pass_through", "expected"),
    [
        (WorkerError("it died"), 2, True, Answer.RETRY),
        (WorkerError("it died"), 3, True, Answer.PASS_THROUGH),
        (WorkerError("it died"), 3, False, Answer.GIVE_UP),
        (StorageError("no answer"), 2, False, Answer.RETRY),
        (StorageError("no answer"), 3, True, Answer.GIVE_UP),
        (RestorationError("NaN"), 1, True, Answer.PASS_THROUGH),
        (RestorationError("NaN"), 1, False, Answer.GIVE_UP),
        (InputError("no video"), 1, True, Answer.GIVE_UP),
    ],
)
def test_what_may_pass_is_tried_again(
    *, error: VidrestoreError, attempt: int, may_pass_through: bool, expected: Answer
) -> None:
    failed = TaskFailed(1, error, worker_lost=False, node="here", seconds=1.0)
    assert answer_to_failure(failed, attempt=attempt, retries=2, may_pass_through=may_pass_through) is expected


def test_a_preempted_task_is_always_tried_again() -> None:
    failed = TaskFailed(1, WorkerError("it made room"), worker_lost=True, node="here", seconds=1.0, preempted=True)
    assert answer_to_failure(failed, attempt=9, retries=0, may_pass_through=True) is Answer.RETRY
