"""Who runs when, among the processes of one test run."""

import fcntl
import os
from pathlib import Path


class Turns:
    """Lets a test that measures time run while no other process runs one; all others run side by side.

    A lock of readers and one writer, out of two files: who wants to be alone holds the door shut while it waits for the
    others to leave the room, so that it is not kept waiting by those who come after it. A process that dies lets go.
    """

    def __init__(self, folder: Path) -> None:
        self._door, self._room = (os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("door", "room"))
        self._is_alone = self._holds_door = False

    def enter(self, *, alone: bool) -> None:
        """Wait for the turn. Who is alone already stays, so that tests of the kind follow each other."""
        if alone and self._is_alone:
            return
        self.leave()
        fcntl.flock(self._door, fcntl.LOCK_EX)
        self._holds_door = True
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(self._door, fcntl.LOCK_UN)
            self._holds_door = False
        self._is_alone = alone

    def leave(self) -> None:
        """Let the others in."""
        for lock in (self._room, self._door):
            fcntl.flock(lock, fcntl.LOCK_UN)
        self._is_alone = self._holds_door = False

    def is_door_shut(self) -> bool:
        """Tell whether this one waits for the room, or is alone in it."""
        return self._holds_door
