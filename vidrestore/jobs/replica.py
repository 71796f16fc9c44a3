"""The journal of a job whose results go to a store, kept there too: its driver's machine may be lost with its disk."""

import logging
import time
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import InputError, VidrestoreError
from vidrestore.files import replace_bytes
from vidrestore.jobs.journal import LaterFormatError, check_size, read_entries, with_foreign_lines
from vidrestore.jobs.signing import Signer

_EVERY_SECONDS = 30.0
_log = logging.getLogger(__name__)


class JournalReplica:
    """A copy of a journal in a store, at most half a minute old.

    What the copy lacks is done again. Two drivers on two machines are not kept from each other.

    Args:
        path: of the journal.
        address: of the copy; None where there is none, for the journal lies with the results.
        signer: of the job. What others have written to the store is not believed, and stays there.
        trust_unsigned: whether lines without a signature are believed of the journal; of the copy they never are.
    """

    def __init__(self, path: Path, address: str | None, signer: Signer, *, trust_unsigned: bool = False) -> None:
        self._path = path
        self._address = address
        self._signer = signer
        self._trust_unsigned = trust_unsigned
        self._pushed = time.monotonic()
        self._size = -1

    def fetch(self) -> None:
        """Take the copy, where it says more than the journal here, and whatever others wrote there: it is kept.

        Raises:
            InputError: the copy is of a later format, or too large.
            StorageError: the store cannot be reached.
        """
        if self._address is None or not storage.exists(self._address):
            return
        check_size(int(storage.info(self._address).get("size") or 0), self._address)
        with storage.local_copy(self._address, storage.fingerprint(self._address)) as copy:
            there = copy.read_bytes()
        try:
            remote_entries = len(read_entries(there, self._address, self._signer).entries)
        except LaterFormatError:
            raise
        except InputError as error:
            _log.warning("the journal's copy %s is not used: %s", self._address, error.message)
            return
        here, held = self._held()
        if remote_entries > held:
            merged = with_foreign_lines(there, here, self._signer, trust_unsigned=self._trust_unsigned)
        else:
            merged = with_foreign_lines(here, there, self._signer)
        if merged != here:
            check_size(len(merged), self._path)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_bytes(self._path, merged)

    def push(self, *, now: bool = False) -> None:
        """Renew the copy if it is time; that it cannot be costs only what a lost driver would do again."""
        if self._address is None or not (now or time.monotonic() - self._pushed > _EVERY_SECONDS):
            return
        self._pushed = time.monotonic()
        size = self._path.stat().st_size
        if size == self._size:
            return
        try:
            storage.commit_bytes(self._path.read_bytes(), self._address)
            self._size = size
        except VidrestoreError as error:
            _log.warning("the journal could not be copied to the store: %s", error.message)

    def _held(self) -> tuple[bytes, int]:
        """Return the journal here, and how many of its entries are believed; nothing and -1 where there is none."""
        try:
            here = self._path.read_bytes()
            return here, len(read_entries(here, self._path, self._signer, trust_unsigned=self._trust_unsigned).entries)
        except LaterFormatError:
            raise
        except (OSError, InputError):
            return b"", -1
