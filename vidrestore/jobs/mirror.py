"""The journal of a job whose results go to a store, kept there too: its driver's machine may be lost with its disk."""

import logging
import time
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import VidrestoreError
from vidrestore.files import replace_bytes

_EVERY_SECONDS = 30.0
_log = logging.getLogger(__name__)


class JournalMirror:
    """A copy of a journal in a store, at most half a minute old.

    What the copy lacks is done again. Two drivers on two machines are not kept from each other.

    Args:
        path: of the journal.
        address: of the copy; None where there is none, for the journal lies with the results.
    """

    def __init__(self, path: Path, address: str | None) -> None:
        self._path = path
        self._address = address
        self._pushed = time.monotonic()
        self._size = -1

    def fetch(self) -> None:
        """Take the copy, where it has more to tell than the journal here: journals only grow.

        Raises:
            StorageError: the store cannot be reached.
        """
        if self._address is None or not storage.exists(self._address):
            return
        with storage.fetched(self._address, storage.fingerprint(self._address)) as copy:
            here = self._path.stat().st_size if self._path.exists() else 0
            if copy.stat().st_size > here:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_bytes(self._path, copy.read_bytes())

    def push(self, *, now: bool = False) -> None:
        """Renew the copy if it is time; that it cannot be costs only what a lost driver would do again."""
        if self._address is None or not (now or time.monotonic() - self._pushed > _EVERY_SECONDS):
            return
        self._pushed = time.monotonic()
        size = self._path.stat().st_size
        if size == self._size:
            return
        try:
            storage.publish_text(self._path.read_text(encoding="utf-8"), self._address)
            self._size = size
        except VidrestoreError as error:
            _log.warning("the journal could not be copied to the store: %s", error.message)
