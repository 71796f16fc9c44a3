"""vidrestore: faces in films, restored without flicker."""

__version__ = "0.1.0"
