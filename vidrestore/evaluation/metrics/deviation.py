"""Whether a face stays the same person over a track: how far its embeddings scatter."""

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.types import Float32, Float64


def identity_spread(embeddings: Float32 | Float64) -> float:
    """Return the mean Euclidean distance of a track's embeddings from their mean, 0..1 for unit vectors; 0: no change.

    Expression and pose scatter the truth's embeddings too: compare with the truth's own.

    Args:
        embeddings: [n, D] of unit length, n of 1 or more.

    Raises:
        RestorationError: the embeddings have another shape.
    """
    if embeddings.ndim != 2 or not embeddings.size:  # noqa: PLR2004  [n, D]
        raise RestorationError(f"embeddings are {list(embeddings.shape)}; wanted [n, D] with one or more")
    wide = embeddings.astype(np.float64)
    return float(np.linalg.norm(wide - wide.mean(axis=0), axis=1).mean())


def cosine_deviation(cosines: Float32 | Float64) -> float:
    """Return the standard deviation of a track's cosines [n] with the truth, 0 or more; 0: the likeness never changes.

    Raises:
        RestorationError: there is none, or they have another shape.
    """
    if cosines.ndim != 1 or not cosines.size:
        raise RestorationError(f"cosines are {list(cosines.shape)}; wanted [n] with one or more")
    return float(cosines.astype(np.float64).std())
