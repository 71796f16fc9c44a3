"""Training the generative facial prior: StyleGAN2, whose generator is GFP-GAN's decoder, key for key.

Sources: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020): non-saturating logistic loss,
lazy R1 (section 2.3 and appendix B), path length regularisation (section 3.2), style mixing and the average of weights
(appendix B); Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020) for few faces.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.evaluation.metrics.features import frechet_distance
from vidrestore.models.discriminators import StyleDiscriminator
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.perceptual import MobileNetV2Features
from vidrestore.models.stylegan2 import StyleDecoder, to_channels_last
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.gan import losses
from vidrestore.training.gan.augmentation import AdaptiveAugmentation, AugmentationConfig
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.log import tiled, to_levels
from vidrestore.training.loop.optimizer import OptimizerStep, average_into, averaged_copy, equalized_groups
from vidrestore.types import Float64, UInt8

_PURPOSE_STEP, _PURPOSE_PATH, _PURPOSE_SAMPLES = 1, 2, 3


@dataclass(frozen=True, slots=True)
class PriorConfig(Options):
    """Options of the prior's training; the defaults are StyleGAN2-ADA's for 256 px.

    Raises:
        ConfigError: A value is out of its range.
    """

    seed: int = 0
    learning_rate: Annotated[
        float,
        Field(
            gt=0,
            description="Learning rate of generator and discriminator, before the equalising division by the root of "
            "each layer's fan-in.",
        ),
    ] = 0.0025
    betas: tuple[float, float] = (0.0, 0.99)
    clip: Annotated[
        float, Field(gt=0, description="Norm to which gradients are cut; ordinary ones are well below.")
    ] = 10.0
    r1_gamma: Annotated[float, Field(gt=0)] = 1.0
    r1_every_steps: Annotated[int, Field(ge=1)] = 16
    r1_batch_share: Annotated[float, Field(ge=0, le=1, description="Share of the batch that R1 is measured on.")] = 0.5
    path_weight: float = 2.0
    path_every_steps: Annotated[int, Field(ge=1)] = 8
    path_batch_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the batch that path length is measured on.")
    ] = 0.25
    path_decay: float = 0.01
    style_mixing: Annotated[
        float, Field(ge=0, le=1, description="Share of faces whose upper layers follow a second code.")
    ] = 0.9
    average_half_life_images: Annotated[float, Field(gt=0)] = 10_000
    average_rampup: Annotated[
        float,
        Field(
            description="The half-life is at most this share of the images seen: an early average is not held "
            "back by the start."
        ),
    ] = 0.05
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    samples_for_distance: Annotated[int, Field(ge=2)] = 1024
    truncation: Annotated[
        float,
        Field(ge=0, le=1, description="Truncation of the faces in the picture: how far codes reach from their mean."),
    ] = 0.7


class PriorTrainer:
    """StyleGAN2 on a folder of faces.

    Args:
        network: The shape of the GFP-GAN whose decoder this becomes.
        config: Options of the training.
        faces: Batches of real faces; they define the batch size.
        machine: Device and processes of the training.
    """

    def __init__(
        self, network: GFPGANConfig, config: PriorConfig, faces: FaceBatches, machine: DistributedContext
    ) -> None:
        self.network, self.config, self.machine = network, config, machine
        self.step_number = 0
        self._faces = faces
        self.images_per_step = faces.batch * machine.world
        torch.manual_seed(config.seed)  # the networks' first weights, equal in every process
        self.decoder = StyleDecoder(
            channels=network.channels,
            out_size=network.out_size,
            num_style_feat=network.num_style_feat,
            num_mlp=network.num_mlp,
        ).to(machine.device)
        self.discriminator = StyleDiscriminator(channels=network.channels, out_size=network.out_size)
        self.discriminator.to(machine.device)
        to_channels_last(self.decoder)
        to_channels_last(self.discriminator)
        self.averaged = averaged_copy(self.decoder)
        self.mean_code = torch.zeros(network.num_style_feat, device=machine.device)
        """float32 [D], running mean of W: the centre of truncation."""
        self._path_mean = torch.zeros((), device=machine.device)
        self._augmentation = AdaptiveAugmentation(config.augmentation, machine)
        self._generator = self._learner(self.decoder, every_steps=config.path_every_steps)
        self._critic = self._learner(self.discriminator, every_steps=config.r1_every_steps)
        self._draw = machine.compiled(self.decoder.forward)
        self._judge = machine.compiled(self.discriminator.forward)
        self._features: MobileNetV2Features | None = None
        self._real_features: Float64 | None = None

    def _learner(self, network: StyleDecoder | StyleDiscriminator, *, every_steps: int) -> OptimizerStep:
        """Make an optimiser with lazy regularisation's correction of rate and betas: StyleGAN2, appendix B."""
        share = every_steps / (every_steps + 1)
        beta1, beta2 = self.config.betas
        groups = equalized_groups(network, learning_rate=self.config.learning_rate * share)
        betas = (beta1**share if beta1 else 0.0, beta2**share)
        return OptimizerStep([network], groups, betas=betas, clip=self.config.clip, machine=self.machine)

    def step(self) -> dict[str, Tensor]:
        """Do one step of generator and discriminator, with the regularisers when they are due."""
        step, config, machine = self.step_number, self.config, self.machine
        random = machine.generator(config.seed, step, _PURPOSE_STEP)
        real = self._faces.batch_at(step).images.float() / 127.5 - 1

        with self._critic.frozen(), machine.autocast():
            fake = self._draw(self._codes(len(real), random), None, self.decoder.draw_noises(len(real), random))
            generator_loss = losses.generator_adversarial(self._judge(self._augmentation(fake, random)))
        self._generator.learn(generator_loss)

        with machine.autocast():
            real_logits = self._judge(self._augmentation(real, random))
            fake_logits = self._judge(self._augmentation(fake.detach(), random))
        critic_loss = losses.discriminator_adversarial(real_logits, fake_logits)
        self._critic.learn(critic_loss)
        mean_sign = machine.mean(real_logits.detach().float().sign().mean())
        self._augmentation.observe(mean_sign, self.images_per_step, step)

        logged = {"generator": generator_loss, "discriminator": critic_loss, "real_sign": mean_sign}
        if step % config.r1_every_steps == 0:
            self._regularize_discriminator(real, random)
        if step % config.path_every_steps == 0 and config.path_weight:
            self._regularize_generator()
        self.step_number += 1
        half_life = min(
            config.average_half_life_images, self.step_number * self.images_per_step * config.average_rampup
        )
        average_into(self.averaged, self.decoder, 0.5 ** (self.images_per_step / max(half_life, 1e-8)))
        return logged | {"augmentation": self._augmentation.probability.clone(), "path_length": self._path_mean.clone()}

    def _codes(self, batch: int, random: torch.Generator) -> Tensor:
        """Draw W+ codes [B, N, D], mixed for most faces: below a random layer one code, above it another."""
        latents = self.network.num_latent
        drawn = torch.randn(2 * batch, self.network.num_style_feat, generator=random, device=random.device)
        with torch.autocast(random.device.type, enabled=False):  # rounded codes would differ from those of `sample`
            first, second = self.decoder.style_mlp(drawn).chunk(2)
        with torch.no_grad():
            self.mean_code.lerp_(self.machine.mean(first.detach().mean(dim=0)), 0.005)
        crossing = torch.randint(1, latents, (batch, 1, 1), generator=random, device=random.device)
        mixed = torch.rand(batch, 1, 1, generator=random, device=random.device) < self.config.style_mixing
        layer = torch.arange(latents, device=random.device)[None, :, None]
        return torch.where(mixed & (layer >= crossing), second[:, None], first[:, None])

    def _regularize_discriminator(self, real: Tensor, random: torch.Generator) -> None:
        count = max(1, round(len(real) * self.config.r1_batch_share))
        seen = self._augmentation(real[:count], random).detach().requires_grad_()
        with self.machine.autocast():
            penalty = losses.r1_penalty(self.discriminator(seen), seen)
        self._critic.learn(penalty * (self.config.r1_gamma / 2 * self.config.r1_every_steps))

    def _regularize_generator(self) -> None:
        config = self.config
        random = self.machine.generator(config.seed, self.step_number, _PURPOSE_PATH)
        batch = max(1, round(self._faces.batch * config.path_batch_share))
        codes = self._codes(batch, random)
        with self.machine.autocast():
            image = self.decoder(codes, None, self.decoder.draw_noises(batch, random))
        noise = torch.randn(image.shape, generator=random, device=random.device)
        penalty, lengths = losses.path_length(image, codes, self._path_mean, noise=noise)
        self._generator.learn(penalty * (config.path_weight * config.path_every_steps))
        self._path_mean = self._path_mean.lerp(self.machine.mean(lengths.mean()), config.path_decay)

    @torch.no_grad()
    def sample(self, count: int, *, seed: int = 0, truncation: float = 1.0) -> Tensor:
        """Draw faces of the averaged prior in about [-1, 1], with its stored noise: float32 [count, 3, S, S].

        `truncation` below 1 pulls the codes towards their mean: likelier faces, less variety.
        """
        random = self.machine.generator(seed, 0, _PURPOSE_SAMPLES)
        drawn = torch.randn(count, self.network.num_style_feat, generator=random, device=random.device)
        pictures = []
        for part in torch.split(drawn, 32):
            codes = self.mean_code.lerp(self.averaged.style_mlp(part), truncation)
            with self.machine.autocast():
                pictures.append(self.averaged(codes[:, None].expand(-1, self.network.num_latent, -1)).float())
        return torch.cat(pictures)

    def evaluate(self) -> dict[str, float]:
        """Return `feature_distance`: Fréchet distance of pooled MobileNetV2 features, drawn faces against real ones.

        It is computed like FID, over another network: its value is comparable between runs of this project alone.
        """
        real = self._features_of_real_faces()
        made = self._pooled(self.sample(self.config.samples_for_distance, seed=1))
        return {"feature_distance": frechet_distance(made, real)}

    def picture(self) -> UInt8:
        """Return a grid of 8 x 4 faces."""
        return tiled(to_levels(self.sample(32, truncation=self.config.truncation)), columns=8)

    def _features_of_real_faces(self) -> Float64:
        if self._real_features is None:
            steps = max(1, self.config.samples_for_distance // self._faces.batch)
            batches = [self._faces.batch_at(step).images.float() / 127.5 - 1 for step in range(steps)]
            self._real_features = np.concatenate([self._pooled(batch) for batch in batches])
        return self._real_features

    @torch.no_grad()
    def _pooled(self, images: Tensor) -> Float64:
        if self._features is None:
            self._features = MobileNetV2Features().to(self.machine.device)
        deepest = [self._features(part.clamp(-1, 1))[-1].mean(dim=(2, 3)) for part in torch.split(images, 32)]
        return torch.cat(deepest).double().cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that an exact resume needs."""
        return {
            "signature": {
                "trainer": "prior",
                "network": asdict(self.network),
                "config": asdict(self.config),
                "faces": len(self._faces.faces),
                "images_per_step": self.images_per_step,
            },
            "generator": self._generator.state_dict(),
            "critic": self._critic.state_dict(),
            "averaged": self.averaged.state_dict(),
            "augmentation": self._augmentation.state_dict(),
            "mean_code": self.mean_code.clone(),
            "path_mean": self._path_mean.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self._generator.load_state_dict(state["generator"])
        self._critic.load_state_dict(state["critic"])
        self.averaged.load_state_dict(state["averaged"])
        self._augmentation.load_state_dict(state["augmentation"])
        self.mean_code.copy_(state["mean_code"])
        self._path_mean = state["path_mean"].to(self.machine.device)
