"""Limits on FFmpeg for each kind of live source: its options, its demuxers and its protocols, by name.

Left to itself it guesses the kind from the content: a server that answers with SDP made it listen on UDP, one that
answers with a script made it open other files. HLS is read over HTTP only. DASH is not read: the FFmpeg in PyAV has
none.
"""

from typing import Final

from vidrestore.live.addresses import Source, SourceKind
from vidrestore.live.certificates import TLS_SCHEMES, tls_options
from vidrestore.media.demuxers import ALLOWED_DEMUXERS, FILE_OPTIONS

_QUICK = {"analyzeduration": "500000", "probesize": "500000"}
"""Options for a quick start, without `nobuffer`, which discards what was read to probe, with the first keyframe."""
_CONTAINERS = {"format_whitelist": ALLOWED_DEMUXERS}
_OPTIONS: Final[dict[SourceKind, dict[str, str]]] = {
    "rtsp": {**_QUICK, "max_delay": "200000", "reorder_queue_size": "64", "format_whitelist": "rtsp"},
    "rtmp": {
        **_QUICK,
        "rtmp_live": "live",
        "format_whitelist": "flv,live_flv",
        "protocol_whitelist": "rtmp,rtmps,tls,tcp,httpproxy",
    },
    "udp": {**_QUICK, **_CONTAINERS, "overrun_nonfatal": "1", "fifo_size": "50000", "protocol_whitelist": "udp"},
    "tcp": {**_QUICK, **_CONTAINERS, "protocol_whitelist": "tcp"},
    # see `WebReader`: FFmpeg opens nothing itself
    "http": {
        "format_whitelist": f"{ALLOWED_DEMUXERS},hls,webvtt",
        "protocol_whitelist": "http,https,tls,tcp,crypto,data",
        "http_persistent": "0",
        "http_multiple": "0",
    },
    "device": {"format_whitelist": "video4linux2,v4l2"},
    "file": FILE_OPTIONS,
}
_RTSP_BY_TCP = "tcp,tls,httpproxy"
"""Protocols without rtsp itself: FFmpeg then does not follow redirects, to which it would show the password."""
_RTSP_BY_ANY = f"rtp,udp,http,https,{_RTSP_BY_TCP}"


def source_options(
    source: Source, *, transport: str, verify: bool, ca_file: str, own: tuple[str, ...]
) -> dict[str, str]:
    """Return the options of `av.open` for a source; the user's own, each "key=value", come last and win."""
    chosen = dict(option.split("=", 1) for option in own)
    options = dict(_OPTIONS[source.kind])
    scheme = source.url.partition("://")[0].lower()
    if source.kind == "rtsp":
        options["rtsp_transport"] = transport
        only_tcp = transport == "tcp" and "rtsp_transport" not in chosen and "rtsp_flags" not in chosen
        options["protocol_whitelist"] = _RTSP_BY_TCP if only_tcp else _RTSP_BY_ANY
    if scheme == "rtp":
        options |= {"format_whitelist": f"rtp,{ALLOWED_DEMUXERS}", "protocol_whitelist": "rtp,udp"}
    if scheme in TLS_SCHEMES:
        options |= tls_options(verify=verify, ca_file=ca_file)
    return options | chosen
