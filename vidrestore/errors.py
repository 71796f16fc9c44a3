"""Every error that vidrestore raises on purpose.

    VidrestoreError
    ├── ConfigError        an option or a configuration file is wrong
    ├── InputError         the source is missing, unreadable or not a video
    ├── OutputError        the destination cannot be written or cannot hold what it should
    ├── ModelError         weights are unknown, missing, corrupt or of another architecture
    ├── RestorationError   a stage failed on data it should have handled
    ├── TrainingError      a training diverged, or its folder holds another run
    ├── WorkerError        a worker process died or could not be had
    ├── StorageError       a store or its network failed; it may work the next time
    └── Interrupted        the user stopped the run (SIGINT, SIGTERM)

Errors of av, ray, torch and requests are translated to these where those libraries are called, so that a
caller handles one tree. All of them pickle, for they cross process borders: positional message, nothing else.
"""


class VidrestoreError(Exception):
    """The root: one line that says what came, what was wanted and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(VidrestoreError):
    """An option, a configuration file or a combination of options is wrong."""


class InputError(VidrestoreError):
    """The source is missing, unreadable or not a video."""


class OutputError(VidrestoreError):
    """The destination cannot be written, or its container cannot hold what it should."""


class ModelError(VidrestoreError):
    """Weights are unknown, missing, corrupt or of another architecture."""


class RestorationError(VidrestoreError):
    """A stage failed on data that it should have handled."""


class TrainingError(VidrestoreError):
    """A training diverged, or its folder holds the state of another run."""


class WorkerError(VidrestoreError):
    """A worker process died or could not be had."""


class StorageError(VidrestoreError):
    """A store of files, or the network to it, failed in a way that may pass."""


class Interrupted(VidrestoreError):  # noqa: N818  a stop that was asked for is not a failure of ours
    """The user stopped the run."""
