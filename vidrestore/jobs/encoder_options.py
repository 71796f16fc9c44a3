"""Encoder options that a manifest may set: those that change the frames of one video, and nothing else.

Encoders write files, too: statistics for a second pass, logs, tables. A manifest comes with the videos, and often from
the people who sent them.
"""

import re

from vidrestore.errors import ConfigError

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


def check_encoder_options(options: tuple[str, ...]) -> None:
    """Make sure that a manifest's `encode.options` concern the video's frames only.

    Raises:
        ConfigError: an option is not in the list.
    """
    for option in options:
        key, _, value = option.partition("=")
        if key in _PARAMETERS:
            for parameter in value.split(":"):
                _check(*parameter.partition("=")[::2], what=f"{key}, {parameter!r}")
        else:
            _check(key, value, what=repr(option))


def _check(key: str, value: str, *, what: str) -> None:
    name = key.lower().replace("_", "-").partition(":")[0].removeprefix("no-")
    # x265 takes a file's name where SVT-AV1 takes a number
    if name not in _ALLOWED or not _VALUE.fullmatch(value) or (name == "film-grain" and not value.isdigit()):
        raise ConfigError(
            f"encode.options: {what} may not be set in a manifest, for it could reach beyond this video; give it on "
            "the command line, --set encode.options=..., or leave it out"
        )
