"""The error tree."""

import pickle

import pytest

from vidrestore import errors

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VidrestoreError)]


@pytest.mark.parametrize("kind", ALL)
def test_errors_survive_a_process_border(kind: type[errors.VidrestoreError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what came, what was wanted")))  # noqa: S301  our own bytes
    assert type(copy) is kind
    assert copy.message == str(copy) == "what came, what was wanted"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_in_the_drawn_tree(kind: type[errors.VidrestoreError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
