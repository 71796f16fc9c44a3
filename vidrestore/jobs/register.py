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


def register(out: str, state: Path) -> None:
    """Note a job; a register that cannot be written costs only the listing."""
    folder = _folder()
    name = hashlib.sha256(str(state).encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / f"{name}.json", json.dumps({"out": out, "state": str(state)}) + "\n")
    except (OSError, OutputError):
        return


def known_jobs() -> list[KnownJob]:
    """All that were noted, those whose folder is gone among them."""
    found = []
    for entry in sorted(_folder().glob("*.json")):
        try:
            told = json.loads(entry.read_text(encoding="utf-8"))
            found.append(KnownJob(str(told["out"]), Path(told["state"]), entry))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _folder() -> Path:
    return user_state_path("vidrestore") / "register"
