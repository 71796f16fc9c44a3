"""Which output folders hold jobs of this user: what `vidrestore jobs` lists."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from vidrestore.errors import OutputError
from vidrestore.files import replace_text


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job that was begun once."""

    out: str
    state: Path
    """The folder of its journal."""
    entry: Path
    """The file of the register."""
    signed: bool = False
    """Whether its journal is signed; those of earlier versions were not."""


def register(out: str, state: Path) -> None:
    """Note a job, whose journal is signed; a register that cannot be written costs only the listing."""
    entry = _entry(state)
    told = {"out": out, "state": str(state), "signed": True}
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        replace_text(entry, json.dumps(told) + "\n")
    except (OSError, OutputError):
        return


def was_unsigned(state: Path) -> bool:
    """Whether this user began the job of a state folder with a version that did not sign journals, and never since."""
    known = _read(_entry(state))
    return known is not None and known.state == state and not known.signed


def known_jobs() -> list[KnownJob]:
    """All that were noted, those whose folder is gone among them."""
    return [known for entry in sorted(_folder().glob("*.json")) if (known := _read(entry)) is not None]


def _read(entry: Path) -> KnownJob | None:
    try:
        told = json.loads(entry.read_text(encoding="utf-8"))
        return KnownJob(str(told["out"]), Path(told["state"]), entry, told.get("signed") is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(state: Path) -> Path:
    name = hashlib.sha256(str(state).encode(errors="surrogateescape")).hexdigest()[:16]
    return _folder() / f"{name}.json"


def _folder() -> Path:
    return user_state_path("vidrestore") / "register"
