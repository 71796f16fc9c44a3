"""The films that are mutated, and the process that has to bear them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest

from support import video_factory as videos

PROGRAM = Path(__file__).parents[1] / "support" / "trial_process.py"


@dataclass(frozen=True)
class Outcome:
    video: str
    kind: str
    """`restored`, the class of the error, or what ended the process."""
    message: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    """Of the process, over all films so far."""


class Trials:
    """Sends films to a process, which is begun again when a film ended it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None

    def of(self, video: Path, suffix: str) -> Outcome:
        if self._process is None:
            self._connection, theirs = Pipe()
            with theirs:
                arguments = [sys.executable, "-P", str(PROGRAM), str(theirs.fileno())]
                environment = os.environ | {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
                self._process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], env=environment)
        result = self.scratch / f"result{suffix}"
        try:
            self._connection.send((video, result))
            return Outcome(*self._connection.recv())
        except (EOFError, OSError):
            status = self._process.wait(30)
            self.close()
            by = signal.Signals(-status).name if status < 0 else f"exit {status}"
            return Outcome(video.name, f"ended by {by}", "")
        finally:
            result.unlink(missing_ok=True)

    def close(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.wait(60)
            self._process = None


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[Trials]:
    (tmp_path / "out").mkdir()
    running = Trials(tmp_path / "out")
    yield running
    running.close()


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sound film of each container, with what else it holds, by its extension."""
    folder = tmp_path_factory.mktemp("bases")
    quick = {"preset": "ultrafast"}
    full = {"frames": 10, "audio": "aac", "chapters": 2, "metadata": {"title": "x"}}
    made = {
        "mp4": full | {"subtitles": "mov_text", "cover": videos.png(), "options": quick},
        "mov": full | {"rotation": 90, "options": quick},
        "mkv": full | {"subtitles": "subrip", "attachment": b"font", "options": quick},
        "webm": {"frames": 10, "codec": "libvpx-vp9", "audio": "libopus"},
        "ts": {"frames": 10, "audio": "aac", "options": quick},
        "avi": {"frames": 10, "codec": "mpeg4", "audio": "mp2"},
        "flv": {"frames": 10, "codec": "flv", "audio": "aac"},
        "ogv": {"frames": 10, "codec": "libvpx", "audio": "libopus"},
        "nut": {"frames": 10, "codec": "mpeg4", "audio": "aac"},
        "mxf": {"frames": 10, "codec": "mpeg2video"},
        "mpg": {"frames": 10, "codec": "mpeg2video", "audio": "mp2"},
        "y4m": {"frames": 6, "codec": "wrapped_avframe"},
    }
    for suffix, description in made.items():
        unit = videos.Fraction(1, 25) if suffix in {"mxf", "mpg", "y4m", "avi", "nut"} else videos.Fraction(1, 12800)
        videos.make_video(folder / f"film.{suffix}", time_base=unit, **description)
    return {suffix: (folder / f"film.{suffix}").read_bytes() for suffix in made}
