"""Training GFP-GAN: the restorer against a discriminator of the face and three of its components.

Source: Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior" (2021), sections 3.2 to
3.5 for the losses and 4.1 for the training; what a section leaves open is said at the option.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from vidrestore.config import Options
from vidrestore.degradation.image.model import DegradationConfig, preset
from vidrestore.models.discriminators import ComponentDiscriminator, StyleDiscriminator
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.stylegan2 import to_channels_last
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.data.jitter import JitterConfig
from vidrestore.training.data.pairs import TrainingPairs
from vidrestore.training.gan import losses
from vidrestore.training.gan.augmentation import AdaptiveAugmentation, AugmentationConfig
from vidrestore.training.gan.components import colour_places, component_boxes, crop_components, eye_side, mouth_side
from vidrestore.training.gan.initialization import initialised
from vidrestore.training.gan.losses import LossWeights
from vidrestore.training.gan.validation import LossModels, Validation
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer import (
    OptimizerStep,
    ScheduleConfig,
    average_into,
    averaged_copy,
    decay_of_half_life,
    equalized_groups,
)
from vidrestore.types import UInt8

_PURPOSE_STEP = 11
COMPONENTS = ("left_eye", "right_eye", "mouth")


@dataclass(frozen=True, slots=True)
class RestorerConfig(Options):
    """Options of GFP-GAN's training.

    Raises:
        ConfigError: A value is out of its range.
    """

    seed: int = 0
    weights: LossWeights = field(default_factory=LossWeights)
    degradation: DegradationConfig = field(default_factory=lambda: preset("paper"))
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    learning_rate: Annotated[float, Field(gt=0, description="Learning rate of the U-Net.")] = 4e-4
    decoder_learning_rate: Annotated[
        float,
        Field(
            ge=0,
            description="Learning rate of the decoder, before the equalising division by the root of each layer's "
            "fan-in; 0 keeps the prior as it is.",
        ),
    ] = 1e-3
    discriminator_learning_rate: Annotated[
        float, Field(gt=0, description="Learning rate of all discriminators, before the same division.")
    ] = 2e-3
    betas: Annotated[tuple[float, float], Field(description="Adam's betas for U-Net and decoder.")] = (0.0, 0.99)
    discriminator_betas: Annotated[
        tuple[float, float],
        Field(description="Adam's betas for discriminators: momentum would carry R1's rare and large steps on."),
    ] = (0.0, 0.99)
    clip: Annotated[float, Field(gt=0, description="Norm to which the generator's gradients are cut.")] = 1.0
    pyramid_until_step: Annotated[int, Field(ge=0, description="Step at which the pyramid loss reaches zero.")] = 50_000
    adversarial_from_step: Annotated[
        int,
        Field(
            ge=0, description="Step from which adversarial losses count; before, only the distances to the truth do."
        ),
    ] = 0
    critics_ahead_steps: Annotated[
        int,
        Field(
            ge=0,
            description="Steps before that at which discriminators begin to learn: untrained ones teach noise at "
            "first.",
        ),
    ] = 0
    r1_gamma: Annotated[float, Field(ge=0)] = 10.0
    r1_every_steps: Annotated[int, Field(ge=1)] = 16
    r1_batch_share: Annotated[float, Field(gt=0, le=1, description="Share of the batch that R1 is measured on.")] = 0.5
    average_half_life_images: Annotated[float, Field(gt=0)] = 20_000
    augmentation: AugmentationConfig | None = None
    """Augmentation of what the discriminator of the face sees; for a few thousand faces, not for FFHQ."""
    jitter: JitterConfig | None = None
    """Jitter of the true faces, before the damage; for a few thousand faces."""
    fresh_noise: Annotated[
        bool,
        Field(
            description="Draw the decoder's noise for every face; otherwise train under the stored noise, which "
            "restoring uses."
        ),
    ] = True


Boxed = dict[str, tuple[Tensor, int]]
"""For each component: squares [B, 4] and the side of its crops."""


class _Example(NamedTuple):
    """One batch, RGB in [-1, 1]."""

    damaged: Tensor
    truth: Tensor
    boxes: Boxed
    landmarks: Tensor
    """float32 [B, 5, 2], pixels."""


class RestorerTrainer:
    """GFP-GAN on a folder of faces.

    Args:
        network: Shape of the network.
        config: Options of the training.
        faces: Batches of real faces; they define the batch size.
        judges: The fixed networks that compare: perceptual features and identity.
        machine: Device and processes of the training.
        prior: Tensors of a trained decoder (`initialization.read_prior`); None starts from a random one.
        held_out: Faces that are never trained on, for `evaluate` and `picture`.
    """

    def __init__(
        self,
        network: GFPGANConfig,
        config: RestorerConfig,
        faces: FaceBatches,
        judges: LossModels,
        machine: DistributedContext,
        *,
        prior: Mapping[str, Tensor] | None = None,
        held_out: FaceBatches | None = None,
    ) -> None:
        self.config, self.machine, self.judges = config, machine, judges
        self.step_number = 0
        self.images_per_step = faces.batch * machine.world
        self._faces = faces
        self._pairs = TrainingPairs(faces, config.degradation, config.jitter, machine)
        self.network = initialised(network, seed=config.seed, prior=prior).to(machine.device).to_channels_last()
        self.averaged = averaged_copy(self.network)
        self._holds_out = held_out is not None
        self._validation = Validation(faces if held_out is None else held_out, judges, machine, seed=config.seed)
        self._generator = self._generator_learner()

        torch.manual_seed(config.seed + 1)  # the discriminators' first weights, equal in every process
        self.discriminator = StyleDiscriminator(channels=network.channels, out_size=network.out_size)
        width = max(8, round(64 * network.narrow))
        self.components = nn.ModuleDict({name: ComponentDiscriminator(width) for name in COMPONENTS})
        for discriminator in (self.discriminator, self.components):
            to_channels_last(discriminator.to(machine.device))
        self._critic = self._critic_learner(self.discriminator)
        self._component_critic = self._critic_learner(self.components)
        self._augmentation = config.augmentation and AdaptiveAugmentation(config.augmentation, machine)

        self._restore = machine.compiled(self.network.forward_with_pyramid)
        self._judge = machine.compiled(self.discriminator.forward)
        self._perceive = machine.compiled(judges.perceptual.forward)
        self._recognise = machine.compiled(judges.identity.forward)
        self._teach_components = machine.compiled(self._component_generator_loss)
        self._judge_components = machine.compiled(self._component_discriminator_loss)

    def _generator_learner(self) -> OptimizerStep:
        config, decoder = self.config, self.network.stylegan_decoder
        decoder.requires_grad_(requires_grad=config.decoder_learning_rate > 0)
        inside = {id(parameter) for parameter in decoder.parameters()}
        unet = [parameter for parameter in self.network.parameters() if id(parameter) not in inside]
        groups: list[dict[str, Any]] = [{"params": unet, "lr": config.learning_rate}]
        if config.decoder_learning_rate:
            groups += equalized_groups(decoder, learning_rate=config.decoder_learning_rate)
        return OptimizerStep([self.network], groups, betas=config.betas, clip=config.clip, machine=self.machine)

    def _critic_learner(self, network: nn.Module) -> OptimizerStep:
        groups = equalized_groups(network, learning_rate=self.config.discriminator_learning_rate)
        betas, clip = self.config.discriminator_betas, 10 * self.config.clip
        return OptimizerStep([network], groups, betas=betas, clip=clip, machine=self.machine)

    def step(self) -> dict[str, Tensor]:
        """Do one step of the restorer and of every discriminator that its losses use."""
        config, machine, step = self.config, self.machine, self.step_number
        random = machine.generator(config.seed, step, _PURPOSE_STEP)
        rate = config.schedule.rate(step)
        example = self._example(step, random)
        noises = self.network.stylegan_decoder.draw_noises(len(example.truth), random) if config.fresh_noise else None
        adversarial = step >= config.adversarial_from_step
        critics_learn = step >= config.adversarial_from_step - config.critics_ahead_steps

        with machine.autocast():
            restored, pyramid = self._restore(example.damaged, noises)
        logged = self._distances(restored, pyramid, example)
        if adversarial:
            logged |= self._adversarial_losses(restored, example, random)
        total = losses.total(list(logged.values()))
        norm = self._generator.learn(total, rate=rate)
        average_into(
            self.averaged,
            self.network,
            decay_of_half_life(config.average_half_life_images, self.images_per_step),
        )

        logged |= self._train_critics(restored.detach(), example, random, rate) if critics_learn else {}
        self.step_number += 1
        zero = torch.zeros((), device=machine.device)
        return {name: logged.get(name, zero) for name in _LOGGED} | {"total": total.detach(), "gradient": norm}

    def _example(self, step: int, random: torch.Generator) -> _Example:
        pair = self._pairs.at(step, random)
        side = pair.truth.shape[-1]
        found = component_boxes(pair.landmarks, side)
        eye, mouth = eye_side(side), mouth_side(side)
        boxes = {
            "left_eye": (found.left_eye, eye),
            "right_eye": (found.right_eye, eye),
            "mouth": (found.mouth, mouth),
        }
        return _Example(pair.damaged, pair.truth, boxes, pair.landmarks)

    def _distances(self, restored: Tensor, pyramid: tuple[Tensor, ...], example: _Example) -> dict[str, Tensor]:
        """Return the weighted losses that compare with the truth."""
        weights, truth = self.config.weights, example.truth
        logged = {"l1": weights.l1 * losses.l1(restored, truth)}
        pyramid_weight = losses.pyramid_weight(
            self.step_number, initial=weights.pyramid, until=self.config.pyramid_until_step
        )
        if pyramid_weight:
            logged["pyramid"] = pyramid_weight * losses.pyramid_l1(pyramid, truth)
        if weights.perceptual or weights.style:
            layers = self.judges.perceptual.weights
            with self.machine.autocast():
                seen = self._perceive(restored)
                with torch.no_grad():
                    wanted = self._perceive(truth)
            logged["perceptual"] = weights.perceptual * losses.perceptual(seen, wanted, layers)
            if weights.style:
                logged["style"] = weights.style * losses.style(seen, wanted, layers)
        if weights.identity:
            with self.machine.autocast():
                who = self._recognise(restored)
                with torch.no_grad():
                    wanted_who = self._recognise(truth)
            logged["identity"] = weights.identity * losses.identity(who, wanted_who)
        if weights.chroma:
            logged["chroma"] = weights.chroma * losses.chroma_l1(restored, truth, cell=losses.AREA_CELL)
        if weights.component_chroma:
            places = colour_places(example.landmarks, truth.shape[-1])
            loss = losses.chroma_l1(restored, truth, cell=losses.COMPONENT_CELL, places_B1HW=places)
            logged["component_chroma"] = weights.component_chroma * loss
        return logged

    def _adversarial_losses(self, restored: Tensor, example: _Example, random: torch.Generator) -> dict[str, Tensor]:
        """Return the restorer's weighted adversarial losses."""
        weights = self.config.weights
        logged: dict[str, Tensor] = {}
        if weights.adversarial:
            with self._critic.frozen(), self.machine.autocast():
                logits = self._judge(self._shown(restored, random))
            logged["adversarial"] = weights.adversarial * losses.generator_adversarial(logits)
        if not (weights.component_adversarial or weights.component_style):
            return logged
        with self._component_critic.frozen(), self.machine.autocast():
            fooling, styles = self._teach_components(restored, example.truth, example.boxes)
        logged["component_adversarial"] = weights.component_adversarial * fooling
        logged["component_style"] = weights.component_style * styles
        return logged

    def _component_generator_loss(self, restored: Tensor, truth: Tensor, boxes: Boxed) -> tuple[Tensor, Tensor]:
        """Return the restorer's adversarial and style loss of the components, their discriminators frozen; sums."""
        fooling, styles = [], []
        for name, (places, side) in boxes.items():
            logits, features = self.components[name](crop_components(restored, places, side))
            with torch.no_grad():
                _, wanted = self.components[name](crop_components(truth, places, side))
            fooling.append(losses.generator_adversarial(logits))
            styles.append(losses.component_style(features, wanted))
        return losses.total(fooling), losses.total(styles)

    def _component_discriminator_loss(self, restored: Tensor, truth: Tensor, boxes: Boxed) -> Tensor:
        """Return the loss of the components' discriminators, summed over them."""
        parts = []
        for name, (places, side) in boxes.items():
            crops = [crop_components(faces, places, side) for faces in (truth, restored)]
            logits, _ = self.components[name](torch.cat(crops))
            parts.append(losses.discriminator_adversarial(*logits.chunk(2)))
        return losses.total(parts)

    def _train_critics(
        self, restored: Tensor, example: _Example, random: torch.Generator, rate: float
    ) -> dict[str, Tensor]:
        weights, logged = self.config.weights, {}
        if weights.adversarial:
            with self.machine.autocast():
                real = self._judge(self._shown(example.truth, random))
                fake = self._judge(self._shown(restored, random))
            loss = losses.discriminator_adversarial(real, fake)
            self._critic.learn(loss, rate=rate)
            logged["discriminator"] = loss.detach()
            mean_sign = self.machine.mean(real.detach().float().sign().mean())
            logged["real_sign"] = mean_sign
            if self._augmentation:
                self._augmentation.observe(mean_sign, self.images_per_step, self.step_number)
                logged["augmentation"] = self._augmentation.probability.clone()
            if self.step_number % self.config.r1_every_steps == 0 and self.config.r1_gamma:
                self._regularize(example.truth, random, rate)
        if weights.component_adversarial or weights.component_style:
            with self.machine.autocast():
                loss = self._judge_components(restored, example.truth, example.boxes)
            self._component_critic.learn(loss, rate=rate)
            logged["component_discriminator"] = loss.detach()
        return logged

    def _regularize(self, truth: Tensor, random: torch.Generator, rate: float) -> None:
        count = max(1, round(len(truth) * self.config.r1_batch_share))
        seen = self._shown(truth[:count], random).detach().float().requires_grad_()
        with self.machine.autocast():
            penalty = losses.r1_penalty(self.discriminator(seen), seen)
        self._critic.learn(penalty * (self.config.r1_gamma / 2 * self.config.r1_every_steps), rate=rate)

    def _shown(self, images: Tensor, random: torch.Generator) -> Tensor:
        return self._augmentation(images, random) if self._augmentation else images

    def evaluate(self) -> dict[str, float]:
        """Return figures on the held-out faces; none when there are no such faces."""
        return self._validation.figures(self.averaged) if self._holds_out else {}

    def picture(self) -> UInt8:
        """Draw rows of held-out faces (of training faces when none are held out): damaged, restored, truth."""
        return self._validation.picture(self.averaged)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that an exact resume needs."""
        return {
            "signature": {
                "trainer": "restorer",
                "network": asdict(self.network.config),
                "config": asdict(self.config),
                "faces": len(self._faces.faces),
                # how many workers draw it changes no pixel
                "medium_mix": self._faces.medium_mix and asdict(replace(self._faces.medium_mix, workers=0)),
                "images_per_step": self.images_per_step,
            },
            "generator": self._generator.state_dict(),
            "critic": self._critic.state_dict(),
            "component_critic": self._component_critic.state_dict(),
            "averaged": self.averaged.state_dict(),
            "augmentation": self._augmentation.state_dict() if self._augmentation else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self._generator.load_state_dict(state["generator"])
        self._critic.load_state_dict(state["critic"])
        self._component_critic.load_state_dict(state["component_critic"])
        self.averaged.load_state_dict(state["averaged"])
        if self._augmentation:
            self._augmentation.load_state_dict(state["augmentation"])


_LOGGED = (
    *("l1", "pyramid", "perceptual", "style", "identity", "chroma", "component_chroma"),
    *("adversarial", "component_adversarial", "component_style"),
    *("discriminator", "component_discriminator", "real_sign", "augmentation"),
)
"""Names of the values that every step logs; zero while one does not apply."""
