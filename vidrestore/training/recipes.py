"""Complete named trainings: a starting point instead of naming every option."""

from collections.abc import Mapping

from vidrestore.degradation.image.model import preset
from vidrestore.errors import ConfigError
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.training.gan.trainer import RestorerConfig
from vidrestore.training.job import TrainingConfig
from vidrestore.training.loop.optimizer import ScheduleConfig
from vidrestore.training.loop.run import RunConfig

_PAPER_STEPS = 800_000

_PRESETS: Mapping[str, TrainingConfig] = {
    # Wang et al. 2021, section 4.1: the rate is halved at steps 700,000 and 750,000; here it falls from 700,000 on.
    "official": TrainingConfig(
        network=GFPGANConfig(),
        restorer=RestorerConfig(
            degradation=preset("paper"),
            schedule=ScheduleConfig(steps=_PAPER_STEPS, warmup_steps=0, decay_share=0.125),
        ),
        run=RunConfig(
            steps=_PAPER_STEPS, log_every_steps=100, evaluate_every_steps=5_000, checkpoint_every_steps=5_000
        ),
        batch=12,
        cache="disk",
    ),
    "compact": TrainingConfig(
        network=GFPGANConfig(out_size=256, num_style_feat=256, channel_multiplier=1, num_mlp=2, narrow=0.5),
        restorer=RestorerConfig(degradation=preset("film")),
        batch=64,
        cache="memory",
    ),
}


def training_preset(name: str) -> TrainingConfig:
    """Return a named training.

    "official" is the paper's: its network, damage, batch, weights of losses and number of steps; the learning rates
    are `RestorerConfig`'s. "compact" has the shape of the embedded model, a 256 px network for one GPU.

    Raises:
        ConfigError: no such name.
    """
    if name not in _PRESETS:
        raise ConfigError(f"training preset {name!r} is unknown; take one of {', '.join(_PRESETS)}")
    return _PRESETS[name]
