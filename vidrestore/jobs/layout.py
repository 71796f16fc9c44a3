"""Where a job keeps what it needs: all of it in one hidden folder of its output folder."""

import hashlib
from pathlib import Path

from platformdirs import user_state_path

from vidrestore import storage
from vidrestore.files import STATE_FOLDER

__all__ = ["JOURNAL", "PAGE", "PARTS", "REPORT", "STATE_FOLDER", "state_folder"]

JOURNAL = "journal.jsonl"
PARTS = "parts"
REPORT = "job_report.json"
PAGE = "job_report.html"


def state_folder(out: str) -> Path:
    """Of the journal, which is always a local file; where results go to a store, a copy lies with them."""
    if not storage.is_remote(out):
        return Path(out) / STATE_FOLDER
    digest = hashlib.sha256(out.encode(errors="surrogateescape")).hexdigest()
    return user_state_path("vidrestore") / "jobs" / digest[:16]
