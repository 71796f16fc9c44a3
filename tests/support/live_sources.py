"""Opening a source of live video, when a test asks only whether it may be opened."""

from typing import Any

from vidrestore.config import update
from vidrestore.live.addresses import parse_source
from vidrestore.live.config import SourceConfig
from vidrestore.live.source import LiveSource


class Nobody:
    """A receiver that takes everything and keeps nothing."""

    def picture(self, *_: object) -> None:
        """Take a frame."""

    def sound(self, _: object) -> None:
        """Take a packet of audio."""


def take(url: str, **options: Any) -> None:
    """Read a source to its end, or raise what it raises; never tries twice."""
    quick = {"open_seconds": 3.0, "silence_seconds": 1.0, "retry": "never"}
    LiveSource(parse_source(url), update(SourceConfig(), quick | options)).run(Nobody())
