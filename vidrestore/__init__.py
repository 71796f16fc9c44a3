"""vidrestore: faces in films, restored without flicker.

A film is a lazy stream of immutable values (`types`); stages turn one stream into another (`stages`); one function
joins them (`engine.restore_frames`); `runtime.film.restore_video` runs it over a file, in this process or on Ray.
"""

import os

__version__ = "0.1.0"

# Threads of a parallel region that ran out of work otherwise spin. Beside an encoder, a decoder or another worker on
# the same cores that makes the networks up to four times slower. It must be said before torch loads its OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
