"""The losses of GFP-GAN's training, as pure functions of tensors.

They are those of Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior" (2021),
section 3.5 (model objectives), unless said; the regularisers are those of Karras et al., "Analyzing and Improving
the Image Quality of StyleGAN" (2020). Each returns a float32 scalar, reduced in float32 whatever autocast is on.
Gradients flow to the restored side only: the truth, its features and its embedding are detached here.

A component discriminator's loss (first term of the facial component loss) is the same logistic loss as the whole
face's: use `generator_adversarial` and `discriminator_adversarial` on each component's logits.

Shape suffixes: B batch, C channels, H and W space, D dimensions of a code or an embedding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options

AREA_CELL, COMPONENT_CELL = 16, 2
"""Sides in pixels of the cells whose colours are compared, of the whole face, and of irises, lips and teeth."""


@dataclass(frozen=True, slots=True)
class LossWeights(Options):
    """Weights of the losses in the generator's total; the defaults are the paper's. Zero leaves one out."""

    l1: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    perceptual: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    style: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Weight of the Gram matrices of the perceptual features; the paper has none, its published "
            "training options have 50.",
        ),
    ] = 0.0
    pyramid: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="Weight at the first step; see `pyramid_weight`.")
    ] = 1.0
    adversarial: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    component_adversarial: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    component_style: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 200.0
    identity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    chroma: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Weight of large areas' colours; see `chroma_l1`. The paper has neither this nor the next.",
        ),
    ] = 0.0
    component_chroma: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="Weight of the colours of irises, lips and teeth.")
    ] = 0.0


def l1(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute difference of two tensors of one shape; first term of the reconstruction loss."""
    return F.l1_loss(restored.float(), truth.detach().float())


def pyramid_l1(images: Sequence[Tensor], truth_B3HW: Tensor) -> Tensor:
    """Sum the L1 to the truth over the U-Net's scales, at each one's size (degradation removal, section 3.2).

    Args:
        images: float [B, 3, h, w] each, RGB in about [-1, 1]: what the U-Net's decoder draws at 8, 16, ... pixels.
        truth_B3HW: float [B, 3, H, W] in [-1, 1]; reduced by the mean over areas, so that it does not alias.
    """
    truth = truth_B3HW.detach().float()
    return total([l1(image, F.adaptive_avg_pool2d(truth, (image.shape[-2], image.shape[-1]))) for image in images])


def pyramid_weight(step: int, *, initial: float = 1.0, until: int = 50_000) -> float:
    """Return the weight of `pyramid_l1` at a step: falls in a straight line from `initial` to 0 at step `until`.

    It is there to teach the U-Net to remove the degradation before the decoder can use its features, and holds
    the features back to what L1 wants later on. The reference keeps the full weight and then drops it at once; a
    line ends at the same step without a jump that the optimiser's moments have not seen.
    """
    return initial * max(0.0, 1 - step / until) if until else 0.0


def chroma_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, *, cell: int, places_B1HW: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of colour, apart from brightness, of cells of the picture.

    L1 of RGB is mostly one of brightness: an iris of the wrong colour costs it next to nothing. Cells keep texture and
    noise out, and are what a viewer sees as the colour of a thing.

    Args:
        restored_B3HW: RGB in about [-1, 1].
        truth_B3HW: RGB in [-1, 1]; detached.
        cell: Side of a cell in pixels; it divides the picture's.
        places_B1HW: 0..1, weight of each pixel; equal weights if left out. Each image counts alike.
    """
    difference = restored_B3HW.float() - truth_B3HW.detach().float()
    red, green, blue = difference.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601, as are the two below
    chroma = F.avg_pool2d(torch.stack(((blue - luma) / 1.772, (red - luma) / 1.402), dim=1), cell).abs()
    if places_B1HW is None:
        return chroma.mean()
    counts = F.avg_pool2d(places_B1HW.detach().float(), cell)
    return ((chroma * counts).mean(dim=(1, 2, 3)) / counts.mean(dim=(1, 2, 3)).clamp(min=1e-6)).mean()


def perceptual(features_a: Sequence[Tensor], features_b: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum the weighted L1 between features over layers; second term of the reconstruction loss.

    Args:
        features_a: Features of the restored image, [B, C, H, W] each.
        features_b: Features of the truth, of the same shapes; detached.
        weights: One weight for each layer.
    """
    pairs = zip(features_a, features_b, weights, strict=True)
    return total([weight * l1(restored, truth) for restored, truth, weight in pairs])


def gram(features_BCHW: Tensor) -> Tensor:
    """Compute Gram matrices, float32 [B, C, C]: products of channels, summed over space, divided by C * H * W.

    In float32 whatever autocast is on: a sum over thousands of pixels in bf16 keeps two digits.
    """
    flat_BCP = features_BCHW.float().flatten(2)
    with torch.autocast(features_BCHW.device.type, enabled=False):
        return flat_BCP @ flat_BCP.mT / (flat_BCP.shape[1] * flat_BCP.shape[2])


def style(features_a: Sequence[Tensor], features_b: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum the weighted L1 between Gram matrices over layers; arguments as those of `perceptual`."""
    with torch.no_grad():
        wanted = [gram(features) for features in features_b]
    return perceptual([gram(features) for features in features_a], wanted, weights)


def generator_adversarial(fake_logits: Tensor) -> Tensor:
    """Return the non-saturating logistic loss of the generator; logits of restored images, of any shape."""
    return F.softplus(-fake_logits.float()).mean()


def discriminator_adversarial(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the logistic loss of a discriminator; `fake_logits` must come of detached images."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def r1_penalty(real_logits: Tensor, images_BCHW: Tensor) -> Tensor:
    """Return the mean squared gradient norm of a discriminator at real images.

    Multiply it by gamma / 2, and by the interval when it is taken lazily. Its own gradient reaches the
    discriminator (second order).

    Args:
        real_logits: The discriminator's answer to `images_BCHW`, any shape.
        images_BCHW: Real images in float32 that require a gradient.
    """
    (gradient_BCHW,) = torch.autograd.grad(real_logits.float().sum(), images_BCHW, create_graph=True)
    return gradient_BCHW.float().square().flatten(1).sum(dim=1).mean()


def path_length(images_BCHW: Tensor, codes: Tensor, mean: float | Tensor, *, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return StyleGAN2's path length penalty (section 3.2): a step in W should change the image equally everywhere.

    Args:
        images_BCHW: What the generator drew from `codes`.
        codes: [B, N, D] W+ codes, lengths averaged over the N layers as a root of mean squares, or [B, D].
        mean: The running mean of the lengths; the caller moves it by about 1% towards `lengths.mean()` each time.
        noise: Unit normal, of the images' shape; scaled here so that lengths do not depend on the resolution.

    Returns:
        The penalty, mean of (length - mean) squared, and the lengths, float32 [B] without gradient.
    """
    # The gradient of (image * noise) is J^T noise; its norm estimates how far a unit step in W moves the image.
    scaled = noise.float() / math.sqrt(images_BCHW.shape[-2] * images_BCHW.shape[-1])
    (gradient,) = torch.autograd.grad((images_BCHW.float() * scaled).sum(), codes, create_graph=True)
    squares = gradient.float().square().sum(dim=-1)
    lengths_B = squares.reshape(len(squares), -1).mean(dim=1).sqrt()
    return (lengths_B - mean).square().mean(), lengths_B.detach()


def component_style(fake_features: Sequence[Tensor], real_features: Sequence[Tensor]) -> Tensor:
    """Return the feature style loss of one facial component, second term of its loss: L1 between Gram matrices.

    Args:
        fake_features: Features of the component's discriminator at the restored crop, [B, C, H, W] each layer.
        real_features: Features of the same layers at the true crop; detached.
    """
    return style(fake_features, real_features, [1.0] * len(fake_features))


def identity(embedding_BD: Tensor, truth_BD: Tensor) -> Tensor:
    """Return the identity loss: L1 between embeddings of unit length, times the root of D; mean over the batch.

    That is the mean over elements after scaling embeddings to unit mean square, the size that the paper's network
    gives them; so the paper's weight keeps its meaning, and D does not matter.
    """
    return l1(embedding_BD, truth_BD) * math.sqrt(embedding_BD.shape[-1])


def identity_cosine(embedding_BD: Tensor, truth_BD: Tensor) -> Tensor:
    """Return 1 - cosine between embeddings, mean over the batch: 0 for the same person, about 1 for strangers."""
    return 1 - F.cosine_similarity(embedding_BD.float(), truth_BD.detach().float(), dim=-1).mean()


def total(losses: Sequence[Tensor]) -> Tensor:
    """Sum scalars; at least one."""
    return torch.stack(tuple(losses)).sum()
