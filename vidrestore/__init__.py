"""vidrestore: faces in videos, restored without flicker.

A film is a lazy stream of immutable values (`types`); stages turn one stream into another (`stages`); one function
joins them (`engine.restore_frames`); `jobs.restore.restore_video` runs it over a file, in this process or on Ray.
"""

__version__ = "0.1.0"
