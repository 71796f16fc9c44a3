"""Options of a restoration, one class for each stage, and all of them together."""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Final, Literal

from pydantic import Field

from vidrestore.config import Options
from vidrestore.faces.config import DetectorConfig, TrackerConfig
from vidrestore.media.config import EncodeConfig, ShotConfig
from vidrestore.media.picture_size import MAX_PIXELS, MAX_SIDE

_FOLLOW_SECONDS: Final = 3.0
FACE_COUNTS: Final = {"all": 0, "largest": 1}
"""Words for `selection.max_faces`, for people."""
MAX_LAG: Final = 8
"""Most frames of lag; more would make no stage steadier."""
_FRAMES: Final = "; 0 treats each frame alone."
_TOLERANCES: Final = (
    "Grey levels, 0 to 255, by which {texture} may differ beyond noise; there a neighbour's weight is 1/e.",
    "Levels, 0 to 255, by which {colour} may differ at low frequencies; there a neighbour's weight is 1/e.",
)


@dataclass(frozen=True, slots=True)
class DetectionConfig(Options):
    """Schedule and input size of detector runs."""

    preview_side: Annotated[
        int,
        Field(
            ge=64, description="Longer side, in pixels, of the small copy in which faces and shot changes are detected."
        ),
    ] = 960
    interval_seconds: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Average time between two detector runs in a shot; tracking fills the frames between. 0: every "
            "frame. The detector runs on the first frame of each such interval of the video's own time, wherever "
            "a segment begins.",
        ),
    ] = 1 / 12
    search_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=60,
            description="Average time between two searches of whole frames for faces that the small copy does not "
            "show: those as narrow as selection.min_face_px, and those that lie or hang. Every shot begins with one. "
            "0: no search.",
        ),
    ] = 3.0
    close_looks: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Number of close looks at single faces per detector run: at small ones, at those that lie or "
            "hang, and at those that fill the picture. More small faces are looked at in turn. 0: none.",
        ),
    ] = 8
    candidate_score: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Score from which what a search finds is looked at closely; it counts if it then reaches "
            "detector.score_threshold.",
        ),
    ] = 0.3
    batch_size: Annotated[int, Field(ge=1, description="Previews per detector call.")] = 4
    frames_per_batch: Annotated[
        int, Field(ge=1, description="Frames after which a detector call is made even if its batch is not full.")
    ] = 16

    @property
    def follow_seconds(self) -> float:
        """Time for which a face is followed by close looks before a search must find it again."""
        return self.search_seconds or _FOLLOW_SECONDS


@dataclass(frozen=True, slots=True)
class SelectionConfig(Options):
    """Selection of the faces to restore."""

    max_faces: Annotated[
        int, Field(ge=0, description="Number of faces to restore per frame, the largest first; 0: all.")
    ] = 0
    min_face_px: Annotated[
        float, Field(ge=0, description="Face width in display pixels below which a face is left as it is.")
    ] = 16.0
    full_strength_ratio: Annotated[
        float,
        Field(
            ge=1,
            description="Multiple of min_face_px from which a face is restored at full strength; in between it fades.",
        ),
    ] = 1.5
    full_yaw: Annotated[
        float, Field(ge=0, description="Degrees up to which a turned face is restored at full strength.")
    ] = 40.0
    max_yaw: Annotated[
        float,
        Field(
            ge=0,
            description="Degrees from which a turned face is left as it is: networks learn from faces that look at the "
            "camera.",
        ),
    ] = 75.0
    min_score: Annotated[float, Field(ge=0, description="Detector score up to which a face is left as it is.")] = 0.5
    full_score: Annotated[
        float, Field(ge=0, description="Detector score from which a face is restored at full strength.")
    ] = 0.8
    max_weight_step: Annotated[
        float,
        Field(
            ge=1 / 16,
            le=1,
            description="Largest change of a face's weight between two frames of a shot; 1: a face may appear and "
            "disappear at once.",
        ),
    ] = 0.25

    def check_together(self) -> None:
        """Refuse ranges of yaw and score that leave a fade no room."""
        if not self.full_yaw < self.max_yaw:
            self.refuse("full_yaw", f"use less than max_yaw ({self.max_yaw})")
        if not self.min_score < self.full_score:
            self.refuse("min_score", f"use less than full_score ({self.full_score})")


@dataclass(frozen=True, slots=True)
class DenoiserConfig(Options):
    """Averaging of the network's input over time."""

    frames: Annotated[
        int,
        Field(ge=0, le=16, description=f"Frames before and after a frame that its crops are averaged with{_FRAMES}"),
    ] = 2
    texture_tolerance: Annotated[float, Field(gt=0, le=255, description=_TOLERANCES[0].format(texture="the video"))] = (
        6.0
    )
    colour_tolerance: Annotated[float, Field(gt=0, le=255, description=_TOLERANCES[1].format(colour="crops"))] = 14.0


@dataclass(frozen=True, slots=True)
class OcclusionConfig(Options):
    """Protection of things in front of a face."""

    enabled: Annotated[
        bool, Field(description="Detect what is in front of faces; if false, whole faces are restored.")
    ] = True
    hidden: Annotated[
        float, Field(ge=0, le=1, description="Visibility of the face up to which a pixel is left as it is.")
    ] = 0.3
    seen: Annotated[
        float, Field(ge=0, le=1, description="Visibility from which a pixel is restored at full strength.")
    ] = 0.7

    def check_together(self) -> None:
        """Refuse a range of visibility that leaves the fade no room."""
        if not self.hidden < self.seen:
            self.refuse("hidden", f"use less than seen ({self.seen})")


@dataclass(frozen=True, slots=True)
class StyleConfig(Options):
    """Averaging of style codes over time."""

    frames: Annotated[
        int,
        Field(
            ge=0,
            le=16,
            description="Frames before and after a frame that its style codes are averaged with. 0 restores in one "
            "pass: encoding first costs a fifth more, and the codes of the embedded model are steady already.",
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class RestorerConfig(Options):
    """Weights of the network that restores faces, and how it runs."""

    model: Annotated[
        str,
        Field(
            description="Model name (see `vidrestore models list`), or file of a clean GFP-GAN or of a light restorer. "
            "auto: embedded-fast on a CPU, else embedded."
        ),
    ] = "embedded"
    device: Annotated[
        str, Field(description="Device of the restorer: auto (CUDA if available), cpu, cuda or cuda:N.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Field(description="Arithmetic of the network; auto: bf16 where the hardware computes in it, else fp32."),
    ] = "auto"
    batch_size_cpu: Annotated[
        int,
        Field(
            ge=1,
            description="Crops per pass on a CPU, where more is no faster. Short passes are filled up, so that results "
            "do not depend on grouping.",
        ),
    ] = 1
    batch_size_gpu: Annotated[
        int | None,
        Field(
            ge=1,
            description="Crops per pass on CUDA: more are faster, fewer are ready sooner. none: 16 of 512 px, or as "
            "many pixels of other sizes.",
        ),
    ] = None
    backend: Annotated[
        Literal["auto", "torch", "opencv"],
        Field(
            description="Where the work over time runs: torch on the restorer's device, a clip of crops at a time; "
            "opencv on the CPU, frame by frame. auto: torch on CUDA. Live streams and averaged style codes use opencv."
        ),
    ] = "auto"
    clip_frames: Annotated[
        int,
        Field(
            ge=1,
            description="Frames after which clips of crops are handed to torch. Their neighbours are computed twice, "
            "so longer clips are faster and take more memory; the result is the same.",
        ),
    ] = 60
    compile: Annotated[
        bool,
        Field(
            description="Run the network through torch.compile: over twice as fast on CUDA after a minute at the "
            "start, with other last bits."
        ),
    ] = False
    threads: Annotated[
        int | None,
        Field(
            ge=1, description="CPU threads of torch; none leaves torch's choice. A network on a CPU takes two or more."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class StabilizerConfig(Options):
    """Stabilisation of restored faces over time; each part can be switched off alone."""

    frames: Annotated[
        int,
        Field(ge=0, le=16, description=f"Frames before and after a frame that its faces are averaged with{_FRAMES}"),
    ] = 2
    blend: Annotated[bool, Field(description="Average faces along their motion over these frames.")] = True
    texture_tolerance: Annotated[float, Field(gt=0, le=255, description=_TOLERANCES[0].format(texture="the video"))] = (
        6.0
    )
    colour_tolerance: Annotated[
        float, Field(gt=0, le=255, description=_TOLERANCES[1].format(colour="restored faces"))
    ] = 14.0
    max_detail_gain: Annotated[
        float,
        Field(
            ge=0,
            le=8,
            description="How far fine detail may be raised to the energy that it had before averaging; 0: not at all.",
        ),
    ] = 2.0
    colour_lock: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Fraction of the video's light at low frequencies, and of its colour down to what it resolves, "
            "that the restored face takes; 0: none.",
        ),
    ] = 1.0


@dataclass(frozen=True, slots=True)
class CompositorConfig(Options):
    """Blending of restored faces into the frame."""

    strength: Annotated[
        float,
        Field(
            ge=0, le=1, description="Blend weight of the restored face: 0 keeps the input, 1 the restored face alone."
        ),
    ] = 1.0
    feather: Annotated[
        float,
        Field(ge=0, le=1, description="Outer fraction of the face ellipse over which the mask falls from one to zero."),
    ] = 0.25


@dataclass(frozen=True, slots=True)
class RestoreConfig(Options):
    """Every option of the pipeline, each owned by the stage that it configures."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    shots: ShotConfig = field(default_factory=ShotConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    stabilizer: StabilizerConfig = field(default_factory=StabilizerConfig)
    compositor: CompositorConfig = field(default_factory=CompositorConfig)
    lag: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_LAG,
            description="Maximum number of frames held back, for live video, divided among the stages. none: each "
            "stage holds back as many as its own options say.",
        ),
    ] = None
    max_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SIDE**2,
            description="Pixels of the largest frames that are restored; videos with larger ones are refused.",
        ),
    ] = MAX_PIXELS
    buffer_mib: Annotated[
        int,
        Field(
            ge=1,
            description="Memory for frames that the stages hold back, in MiB; of huge frames they hold fewer. Nothing "
            "changes up to 4K at 60 frames a second. Decoder and encoder take about as much on top.",
        ),
    ] = 4096

    @property
    def candidate_detector(self) -> DetectorConfig:
        """The detector's options with the lower score of detections that are only looked at more closely."""
        least = min(self.detector.score_threshold, self.detection.candidate_score)
        return replace(self.detector, score_threshold=least)


@dataclass(frozen=True, slots=True)
class VideoRestoreConfig(RestoreConfig):
    """Every option of restoring a file: the pipeline's, and how the result is encoded."""

    encode: EncodeConfig = field(default_factory=EncodeConfig)


def for_files(config: RestoreConfig, encode: EncodeConfig) -> VideoRestoreConfig:
    """Return the options of a live stream's pipeline as those of restoring a file."""
    return VideoRestoreConfig(**{one.name: getattr(config, one.name) for one in fields(config)}, encode=encode)
