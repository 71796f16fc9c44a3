"""Manifests: tables of videos with options of their own, in CSV or JSON lines.

A manifest comes with the videos, and often from the people who sent them: it may set what changes the frames of one
video, and nothing else. Encoders write files, too: statistics for a second pass, logs, tables.
"""

import csv
import io
import json
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vidrestore.config import apply_settings, update
from vidrestore.errors import ConfigError
from vidrestore.former_options import FORMER_OPTIONS, FormerOptionWarning
from vidrestore.restoration.config import VideoRestoreConfig

_RESTORE = "restore"
_KNOWN_PARTS = frozenset(one.name for one in fields(VideoRestoreConfig)) | set(FORMER_OPTIONS["VideoRestoreConfig"])
_SHARED_PARTS = frozenset({"restorer", "detector"})
"""Groups of options that all videos share, since the face workers hold their networks: models, devices and so on."""
_VIDEO_PARTS = frozenset(
    {
        "detection",
        "shots",
        "tracker",
        "selection",
        "denoiser",
        "occlusion",
        "style",
        "stabilizer",
        "compositor",
        "encode",
    }
)
"""Groups of options that affect the result of one video, and may differ from video to video."""
_MOST_MANIFEST_BYTES = 1 << 28
"""Largest manifest in bytes: a million videos."""
_PARAMETERS = frozenset({"x264-params", "x265-params", "svtav1-params"})
"""Options that hold options of the encoder itself, as `key=value:key=value`."""
# quality and rate
_RATE = """
    b bufsize cqp crf crf-max global-quality max-bitrate maxrate mbr minrate q qmax qmin qp quality rc tbr
    vbv-bufsize vbv-init vbv-maxrate
"""
# effort and kind of content
_EFFORT = """
    arnr-maxframes arnr-strength cpu-used deadline enable-tf fast-decode film-grain film-grain-denoise level preset
    profile row-mt sharpness speed static-thresh tier tune tune-content undershoot-pct overshoot-pct vendor
"""
# groups of pictures
_GROUPS = """
    8x8dct b-adapt b-bias b-pyramid bf bframes bluray-compat closed-gop forced-idr g gop-lookahead
    hierarchical-levels irefresh-type keyint keyint-min lag-in-frames auto-alt-ref lookahead min-keyint open-gop
    rc-lookahead ref refs repeat-headers sc-threshold scd scenecut slices slice-max-size slicecrc tile-columns
    tile-rows weightb weightp
"""
# search and decisions
_SEARCH = """
    aq-mode aq-strength chroma-qp-offset cabac coder context cbqpoffs crqpoffs ctu cutree deblock dct8x8 direct-pred
    enable-qm enable-variance-boost fast-pskip ipratio limit-refs limit-sao max-merge mbtree me me-method me-range
    merange mixed-refs motion-est nr partitions pbratio psy psy-rd psy-rdoq qcomp qdiff qm-max qm-min qpmax qpmin
    qpstep rd rdoq-level rect sao sao-non-deblock strong-intra-smoothing subme subq trellis tu-inter-depth
    tu-intra-depth variance-boost-strength variance-octile amp aq-motion signhide early-skip
"""
# metadata of the frames in the stream
_SIGNALLED = """
    cll chroma-loc chromaloc colormatrix color-primaries color-range colorprim content-light hdr10 hdr10-opt hrd
    mastering-display master-display matrix-coefficients max-cll nal-hrd overscan range sar transfer
    transfer-characteristics videoformat bff tff fake-interlaced interlaced alpha-bits bits-per-mb mbs-per-slice
"""
_ALLOWED = frozenset(f"{_RATE} {_EFFORT} {_GROUPS} {_SEARCH} {_SIGNALLED}".split())
_VALUE = re.compile(r"[\w.,+|()%:-]*", re.ASCII)
"""No quotes, escapes or blanks, with which a list of options would be read otherwise than here."""


def read_rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the values of each line that names a video.

    Raises:
        ConfigError: the manifest cannot be read, or a line is neither CSV nor JSON.
    """
    try:
        # a pipe would wait for somebody at its other end, a device never ends
        with open(os.open(manifest, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  a handle
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"the manifest {manifest} is a pipe or a device; name a file, or a link to one")
            data = file.read(_MOST_MANIFEST_BYTES + 1)
        if len(data) > _MOST_MANIFEST_BYTES:
            raise ConfigError(
                f"the manifest {manifest} has more than {_MOST_MANIFEST_BYTES} bytes; give the videos in several jobs"
            )
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except (OSError, ValueError) as error:  # ValueError: bytes that are not UTF-8, or a NUL in the name
        raise ConfigError(f"the manifest {manifest} cannot be read: {error}") from error
    yield from _table(manifest, text) if manifest.suffix.lower() == ".csv" else _json_lines(manifest, text)


def _table(manifest: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ConfigError(f"the manifest {manifest} is not CSV: {error}") from error
    for number, row in enumerate(rows, 2):
        if None in row:
            raise ConfigError(f"{manifest}, line {number} has more columns than the first line names")
        yield number, {name: value for name, value in row.items() if value}


def _json_lines(manifest: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{manifest}, line {number} is not JSON ({error}); write one video a line, or a file named .csv"
            ) from error
        if not isinstance(row, dict):
            raise ConfigError(f'{manifest}, line {number} is not a table such as {{"source": "a.mp4"}}')
        yield number, row


def video_options(config: VideoRestoreConfig, options: object, columns: Mapping[str, Any]) -> VideoRestoreConfig:
    """Return the options of one video.

    Args:
        config: those of the job.
        options: the table `options` of a line of JSON.
        columns: the other values of the line, by paths such as `restore.encode.crf`.

    Raises:
        ConfigError: an option is unknown or out of its range, or not for a single video.
    """
    if not isinstance(options, dict):
        raise ConfigError(f"options is {options!r}, not a table")
    options, columns = _below_restore(options), _below_restore(columns)
    flat = {name: value for name, value in options.items() if "." in name}
    own = update(config, {name: value for name, value in options.items() if name not in flat}, where=_RESTORE)
    own = apply_settings(
        own,
        [
            f"{name}={json.dumps(value) if not isinstance(value, str) else value}"
            for name, value in {**flat, **columns}.items()
        ],
        where=_RESTORE,
    )
    for part in (one.name for one in fields(config)):
        if part in _VIDEO_PARTS or getattr(own, part) == getattr(config, part):
            continue
        shared = ", which all videos of a job share; use a job of its own" if part in _SHARED_PARTS else ""
        raise ConfigError(f"it sets {_RESTORE}.{part}{'.*' if shared else ', which is not for videos'}{shared}")
    if own.encode.options != config.encode.options:
        _check_encoder_options(own.encode.options)
    return own


def _below_restore(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by their paths below `restore`; former paths without that prefix count with a warning."""
    below: dict[str, Any] = {}
    for name, value in options.items():
        if name == _RESTORE and isinstance(value, Mapping):
            below |= value
            continue
        if name.partition(".")[0] in _KNOWN_PARTS:
            warnings.warn(
                f"option {name} of a manifest is called {_RESTORE}.{name} now; the former name goes with the next "
                "release",
                FormerOptionWarning,
                stacklevel=2,
            )
        below[name.removeprefix(f"{_RESTORE}.")] = value
    return below


def _check_encoder_options(options: tuple[str, ...]) -> None:
    """Make sure that a manifest's `encode.options` concern the video's frames only.

    Raises:
        ConfigError: an option is not in the list.
    """
    for option in options:
        key, _, value = option.partition("=")
        if key in _PARAMETERS:
            for parameter in value.split(":"):
                _check_encoder_option(*parameter.partition("=")[::2], what=f"{key}, {parameter!r}")
        else:
            _check_encoder_option(key, value, what=repr(option))


def _check_encoder_option(key: str, value: str, *, what: str) -> None:
    name = key.lower().replace("_", "-").partition(":")[0].removeprefix("no-")
    # x265 takes a file's name where SVT-AV1 takes a number
    if name not in _ALLOWED or not _VALUE.fullmatch(value) or (name == "film-grain" and not value.isdigit()):
        raise ConfigError(
            f"encode.options: {what} may not be set in a manifest, for it could reach beyond this video; give it on "
            "the command line, --set encode.options=..., or leave it out"
        )
