"""A copy of the journal in the store of the results, since the driver's host may be lost with its disk."""

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

    Work that the copy lacks is done again. Two drivers on two hosts do not exclude each other.

    Args:
        path: path of the journal.
        address: address of the copy; None where there is none, since the journal is next to the results.
        signer: signer of the job. Lines that others have written to the store are not believed, and stay there.
        trust_unsigned: whether lines of the journal without a signature are believed; those of the copy never are.
    """

    def __init__(self, path: Path, address: str | None, signer: Signer, *, trust_unsigned: bool = False) -> None:
        self._path = path
        self._address = address
        self._signer = signer
        self._trust_unsigned = trust_unsigned
        self._pushed = time.monotonic()
        self._size = -1

    def fetch(self) -> None:
        """Take over the copy where it has more entries than the local journal, and keep the lines of others.

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
        """Renew the copy if it is due; a failure only means more work to repeat if the driver is lost."""
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
        """Return the local journal and the number of believed entries; nothing and -1 where there is none."""
        try:
            here = self._path.read_bytes()
            return here, len(read_entries(here, self._path, self._signer, trust_unsigned=self._trust_unsigned).entries)
        except LaterFormatError:
            raise
        except (OSError, InputError):
            return b"", -1
