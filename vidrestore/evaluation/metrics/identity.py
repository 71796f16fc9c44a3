"""Whether a restored face is still the same person: the cosine of two embeddings, and their scatter over a track."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.features import signed
from vidrestore.types import Float32, Float64

Embed = Callable[[Tensor], Tensor]
"""What `IdentityEmbedding` is: float32 [B, 3, S, S] RGB in [-1, 1], aligned -> [B, D] of unit length."""


@torch.inference_mode()
def embeddings_of(embed: Embed, images: Tensor) -> Tensor:
    """Compute the embeddings [B, D] of aligned faces uint8 [B, 3, S, S] RGB, on the device of network and images."""
    return embed(signed(images))


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosine between embeddings [B, D] of any length, float64 [B] in [-1, 1]; 1 for identical faces.

    Raises:
        RestorationError: the shapes differ, or a row has no length.
    """
    if first.shape != second.shape or first.dim() != 2:  # noqa: PLR2004  [B, D]
        raise RestorationError(f"embeddings are {list(first.shape)} and {list(second.shape)}; wanted [B, D] twice")
    lengths: Tensor = torch.linalg.vector_norm(first.double(), dim=1) * torch.linalg.vector_norm(second.double(), dim=1)
    if not bool((lengths > 0).all()):
        raise RestorationError("an embedding is zero or not a number: it has no direction; mend the network")
    products: Tensor = (first.double() * second.double()).sum(dim=1)
    return (products / lengths).clamp(-1, 1)


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
