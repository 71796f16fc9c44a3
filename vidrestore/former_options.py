"""Names that options had until this release: they are understood until the next one, with a warning.

By the configuration class that has the option: former path from there -> today's path from there.
"""

from typing import Final


class FormerOptionWarning(FutureWarning):
    """An option was given by a name that the next release will not know."""


FORMER_OPTIONS: Final[dict[str, dict[str, str]]] = {
    "RestoreConfig": {"look": "detection", "codes": "style"},
    "VideoRestoreConfig": {"look": "detection", "codes": "style"},
    "JobConfig": {"ray.retries": "retries"},
    "BatchConfig": {"ray.retries": "retries", "films_ahead": "max_open_videos"},
    "DetectorConfig": {"gpu_batch": "batch_size_gpu"},
    "RestorerConfig": {"batch_size": "batch_size_cpu", "cuda_batch": "batch_size_gpu"},
    "SelectionConfig": {
        "faces": "max_faces",
        "min_face": "min_face_px",
        "full_face": "full_strength_ratio",
        "most_yaw": "max_yaw",
        "least_score": "min_score",
        "most_change": "max_weight_step",
    },
    "DegradeConfig": {"look": "profile"},
    "ProfileConfig": {"film": "medium"},
    "TrainingConfig": {"films": "medium_mix"},
    "DenoiserConfig": {"pattern_levels": "texture_tolerance", "look_levels": "colour_tolerance"},
    "StabilizerConfig": {
        "pattern_levels": "texture_tolerance",
        "look_levels": "colour_tolerance",
        "most_detail_gain": "max_detail_gain",
    },
    "TrackerConfig": {"birth_score": "new_track_score"},
    "MotionConfig": {"calm": "calm_acceleration_ratio", "freedom": "student_t_dof"},
    "RayConfig": {"batching_wait_seconds": "max_batching_delay_seconds"},
    "StreamConfig": {
        "ladder": "quality",
        "longest_wait_seconds": "max_wait_seconds",
        "patience_seconds": "worker_timeout_seconds",
    },
    "QualityConfig": {"most_dropped": "max_dropped", "longest_seconds": "max_up_after_seconds"},
    "SinkConfig": {"slate_after_seconds": "no_signal_after_seconds"},
    "BackoffConfig": {"longest_seconds": "max_seconds"},
}
