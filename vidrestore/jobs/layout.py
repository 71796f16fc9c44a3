"""Layout of a job's own files: one hidden folder next to its results."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from vidrestore import storage
from vidrestore.files import STATE_FOLDER

__all__ = ["JOURNAL", "PAGE", "PARTS", "REPORT", "STATE_FOLDER", "JobLocation", "state_folder"]

JOURNAL = "journal.jsonl"
PARTS = "parts"
REPORT = "job_report.json"
PAGE = "job_report.html"
_MAX_NAME_BYTES = 255
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class JobLocation:
    """Location of a job's results and its state."""

    output: str
    """Address of the folder for results, normalised."""
    video: str | None = None
    """Name of the only result, of a job of one video; such jobs share an output folder, and nothing else."""

    @classmethod
    def of_video(cls, address: str) -> "JobLocation":
        """Return the location of the job that writes one video to a normalised address."""
        folder, _, name = address.rpartition("/")
        return cls(folder or "/", name)

    @property
    def address(self) -> str:
        """Address of the output folder, or of the only result. It identifies the job."""
        return self.output if self.video is None else storage.join(self.output, self.video)

    @property
    def folder_name(self) -> str:
        """Name of the hidden folder: `.vidrestore`, or `.NAME.vidrestore` for a job of one video."""
        if self.video is None:
            return STATE_FOLDER
        name = f".{self.video}{STATE_FOLDER}"
        return name if len(os.fsencode(name)) <= _MAX_NAME_BYTES else f".{_digest(self.video)}{STATE_FOLDER}"

    @property
    def state(self) -> Path:
        """The folder of the journal, which is always a local one; where results go to a store, a copy lies there."""
        if not storage.is_remote(self.output):
            return Path(self.output) / self.folder_name
        return user_state_path("vidrestore") / "jobs" / _digest(self.address)

    @property
    def remote_state(self) -> str | None:
        """Address of the folder of the journal's copy, where results go to a store."""
        return storage.join(self.output, self.folder_name) if storage.is_remote(self.output) else None

    def parts(self, work: str | None) -> str:
        """Return the address of this job's own folder for parts: in a common folder, or with its state."""
        if work:
            return storage.join(storage.normalize(work), f"vidrestore-{_digest(self.address)}")
        return storage.join(self.remote_state or str(self.state), PARTS)


def state_folder(out: str) -> Path:
    """Return the folder of the journal of a batch, by the address of its output folder."""
    return JobLocation(out).state


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
