"""Registry of the jobs that this user has begun, which `vidrestore jobs` lists."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from vidrestore.errors import OutputError
from vidrestore.files import replace_text
from vidrestore.jobs.layout import JobLocation


@dataclass(frozen=True, slots=True)
class JobRef:
    """Entry of a job in the registry."""

    location: JobLocation
    state: Path
    """The folder of its journal."""
    entry: Path
    """Its file in the registry."""
    signed: bool = False
    """Whether its journal is signed; those of earlier versions were not."""


def register(location: JobLocation) -> None:
    """Note a job, whose journal is signed; a registry that cannot be written costs only the listing."""
    state = location.state
    entry = _entry(state)
    values = {"out": location.output, "video": location.video, "state": str(state), "signed": True}
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        replace_text(entry, json.dumps(values) + "\n")
    except (OSError, OutputError):
        return


def unregister(state: Path) -> None:
    """Forget a job."""
    _entry(state).unlink(missing_ok=True)


def was_unsigned(state: Path) -> bool:
    """Return whether this user began the job of a folder with a version that did not sign journals, and never since."""
    known = _read(_entry(state))
    return known is not None and known.state == state and not known.signed


def known_jobs() -> list[JobRef]:
    """List all jobs of the registry, including those whose folder is gone."""
    return [known for entry in sorted(_folder().glob("*.json")) if (known := _read(entry)) is not None]


def _read(entry: Path) -> JobRef | None:
    try:
        values = json.loads(entry.read_text(encoding="utf-8"))
        video = values.get("video")
        location = JobLocation(str(values["out"]), None if video is None else str(video))
        return JobRef(location, Path(values["state"]), entry, values.get("signed") is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(state: Path) -> Path:
    name = hashlib.sha256(str(state).encode(errors="surrogateescape")).hexdigest()[:16]
    return _folder() / f"{name}.json"


def _folder() -> Path:
    return user_state_path("vidrestore") / "register"
