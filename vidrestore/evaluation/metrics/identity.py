"""Whether a restored face is still the same person: the cosine of two embeddings."""

from collections.abc import Callable

import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.features import signed

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
