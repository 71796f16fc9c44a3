"""The journal of a job whose results go to a store, kept there too: its driver's machine may be lost with its disk."""

import logging
import time
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import VidrestoreError
from vidrestore.files import replace_bytes
from vidrestore.jobs.journal import read_entries
from vidrestore.jobs.signing import Signer

_EVERY_SECONDS = 30.0
_MOST_BYTES = 1 << 30
"""Of a copy; a job of a million segments needs less."""
_log = logging.getLogger(__name__)


class JournalMirror:
    """A copy of a journal in a store, at most half a minute old.

    What the copy lacks is done again. Two drivers on two machines are not kept from each other.

    Args:
        path: of the journal.
        address: of the copy; None where there is none, for the journal lies with the results.
        signer: of the job. What others have written to the store is not believed.
    """

    def __init__(self, path: Path, address: str | None, signer: Signer) -> None:
        self._path = path
        self._address = address
        self._signer = signer
        self._pushed = time.monotonic()
        self._size = -1

    def fetch(self) -> int:
        """Take the copy, where it has more to tell than the journal here: journals only grow.

        Returns:
            How many lines of the copy are not signed with this user's key for this job, and are not believed.

        Raises:
            StorageError: the store cannot be reached.
        """
        if self._address is None or not storage.exists(self._address):
            return 0
        size = int(storage.info(self._address).get("size") or 0)
        if size > _MOST_BYTES:
            _log.warning("the journal's copy %s has %d bytes and is not read", self._address, size)
            return 0
        with storage.fetched(self._address, storage.fingerprint(self._address)) as copy:
            there = copy.read_bytes()
        try:
            found = read_entries(there, copy, self._signer)
        except VidrestoreError as error:
            _log.warning("the journal's copy %s is not used: %s", self._address, error.message)
            return 0
        if len(found.entries) > self._held():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_bytes(self._path, there)
            return 0  # the journal will tell
        return found.foreign

    def push(self, *, now: bool = False) -> None:
        """Renew the copy if it is time; that it cannot be costs only what a lost driver would do again."""
        if self._address is None or not (now or time.monotonic() - self._pushed > _EVERY_SECONDS):
            return
        self._pushed = time.monotonic()
        size = self._path.stat().st_size
        if size == self._size:
            return
        try:
            storage.publish_bytes(self._path.read_bytes(), self._address)
            self._size = size
        except VidrestoreError as error:
            _log.warning("the journal could not be copied to the store: %s", error.message)

    def _held(self) -> int:
        """Entries of the journal here; believed whoever wrote them, for they lie in the user's own folder."""
        try:
            return len(read_entries(self._path.read_bytes(), self._path, None).entries)
        except (OSError, VidrestoreError):
            return -1
