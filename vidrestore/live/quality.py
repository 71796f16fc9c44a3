"""Quality levels: what a stream gives up, in order, while its host cannot keep up; and how it returns."""

from dataclasses import dataclass

from vidrestore.live.config import QualityConfig
from vidrestore.restoration.quality_limits import QualityLimits


@dataclass(frozen=True, slots=True)
class QualityLevel:
    """One quality level."""

    name: str
    limits: QualityLimits


QUALITY_LEVELS: tuple[QualityLevel, ...] = (
    QualityLevel("everything", QualityLimits()),
    QualityLevel("detect faces less often", QualityLimits(interval_seconds=0.3)),
    QualityLevel("restore every 2nd frame", QualityLimits(interval_seconds=0.3, restore_every=2)),
    QualityLevel("restore every third frame", QualityLimits(interval_seconds=0.4, restore_every=3)),
    QualityLevel("restore every fourth frame", QualityLimits(interval_seconds=0.4, restore_every=4)),
    QualityLevel("restore every eighth frame", QualityLimits(interval_seconds=0.4, restore_every=8)),
    QualityLevel("the two largest faces", QualityLimits(interval_seconds=0.4, restore_every=8, faces=2)),
    QualityLevel("the largest face", QualityLimits(interval_seconds=0.4, restore_every=8, faces=1)),
    QualityLevel("pass through", QualityLimits(interval_seconds=0.9, restore_every=8, faces=0)),
)
"""All levels, from the best to the cheapest."""


_FULL = 0.95
"""Load, as a share of the time, from which a better level is expected to be too much; it is still tried sometimes."""
_LOST_SECONDS = 2
_TRIAL_SECONDS = 20.0
"""Time in seconds that a better level must last; otherwise the next trial waits longer."""


class QualityController:
    """Steps down after a second with too many drops, and up after a while with room; changes `limits` in place."""

    def __init__(self, config: QualityConfig) -> None:
        self.limits = QualityLimits()
        self.level = 0
        self.steps_down = 0
        self.steps_up = 0
        self._config = config
        self._idle_seconds = 0.0
        self._since_step = 0.0
        self._up_after = config.up_after_seconds
        self._climbed = False
        self._lost = 0
        """Number of seconds in a row with too many drops."""

    @property
    def name(self) -> str:
        """Name of the level in use."""
        return QUALITY_LEVELS[self.level].name

    def judge(
        self, *, seconds: float, received: int, dropped: int, busy: float, faces: int, network: float = 0.0
    ) -> None:
        """Judge the last second, and step up or down if need be.

        Args:
            seconds: its length.
            received: frames that the source sent.
            dropped: frames of those that the engine never saw.
            busy: share of the time, 0..1, in which the engine worked.
            faces: most faces in one frame; levels that would leave as many are passed over.
            network: share of the time, 0..1, in which the network worked for this stream, whether waited for or not.
        """
        if not self._config.enabled or not received:
            return
        # Seconds in a row with too many drops lead down. A while with little load and no drop leads up: the usual time
        # if the measured load suggests that the better level would fit, the longest otherwise.
        self._since_step += seconds
        self._lost = self._lost + 1 if dropped > self._config.max_dropped * received and busy > self._config.idle else 0
        if self._lost >= _LOST_SECONDS:
            self._down(faces)
        elif busy < self._config.idle and not dropped:
            self._idle_seconds += seconds
            bears = self._expected(busy, network, faces) < _FULL
            if self._idle_seconds >= (self._up_after if bears else self._config.max_up_after_seconds):
                self._up(faces)
        else:
            self._idle_seconds = 0.0

    def _expected(self, busy: float, network: float, faces: int) -> float:
        """Return the share of the time, 0 and more, in which the engine or the network would be busy one step up."""
        now, then = (QUALITY_LEVELS[level].limits.restore_every for level in (self.level, self._above(faces)))
        if now == then:
            return busy
        more = network * now / then
        return busy + more if then == 1 else max(busy, more)  # only with every frame restored, it waits for the network

    def _above(self, faces: int) -> int:
        return next((level for level in range(self.level - 1, -1, -1) if _matters(level, faces)), 0)

    def _down(self, faces: int) -> None:
        below = next((level for level in range(self.level + 1, len(QUALITY_LEVELS)) if _matters(level, faces)), None)
        if below is not None:
            if self._climbed and self._since_step < _TRIAL_SECONDS:
                # the trial of a better level failed: wait twice as long for the next
                self._up_after = min(self._config.max_up_after_seconds, 2 * self._up_after)
            self.steps_down += 1
            self._step(below)
            self._climbed = False

    def _up(self, faces: int) -> None:
        if self.level:
            if self._since_step > 4 * self._up_after:
                self._up_after = self._config.up_after_seconds
            self.steps_up += 1
            self._step(self._above(faces))
            self._climbed = True

    def _step(self, level: int) -> None:
        self.level = level
        self._idle_seconds = self._since_step = 0.0
        self._lost = 0
        wanted = QUALITY_LEVELS[level].limits
        self.limits.interval_seconds = wanted.interval_seconds
        self.limits.restore_every = wanted.restore_every
        self.limits.faces = wanted.faces


def _matters(level: int, faces: int) -> bool:
    limit = QUALITY_LEVELS[level].limits.faces
    return not limit or limit < faces
