"""The loop of the process that holds a connection: requests in, answers out. See `muxer_process`."""

import errno
from typing import Any, BinaryIO

from vidrestore.errors import OutputError
from vidrestore.live.addresses import Target, endpoint, parse_target
from vidrestore.live.certificates import TLS_SCHEMES, certificate_problem, distrust
from vidrestore.live.codec_parameters import CodecParameters
from vidrestore.live.messages import receive, send
from vidrestore.live.muxers import Muxer, connection_options
from vidrestore.live.packets import Kind, Packet
from vidrestore.redaction import redact


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Carry out requests, one after the other, until they end."""
    muxer: Muxer | None = None
    tracks: dict[Kind, CodecParameters] = {}
    while (request := receive(requests)) is not None:
        values, data = request
        answer: dict[str, object] = {}
        try:
            match values["do"]:
                case "track":
                    tracks[values["kind"]] = CodecParameters(data)
                case "open":
                    target = parse_target(values["url"])
                    muxer = _opened(target, tracks, values)
                    answer["left_out"] = muxer.left_out
                case "mux":
                    assert muxer is not None, "opened before"  # noqa: S101
                    muxer.mux(_packet(values, tracks, data))
                case "close":
                    if muxer is not None:
                        muxer.close()
        except OutputError as error:
            answer["problem"] = redact(error.message)
        send(answers, answer)


def _opened(target: Target, tracks: dict[Kind, CodecParameters], values: dict[str, Any]) -> Muxer:
    """Connect, and explain a certificate that is not trusted: FFmpeg only reports "Input/output error"."""
    ca_file = values["ca_file"]
    way = connection_options(target, transport=values["transport"], verify=values["verify"], ca_file=ca_file)
    try:
        return Muxer(target, tracks, origin=values["origin"], options=way.options, url=way.url, container=way.container)
    except OutputError as error:
        host, port = endpoint(target.url) or ("", 0)
        is_tls = target.url.partition("://")[0].lower() in TLS_SCHEMES
        broke = getattr(error.__cause__, "errno", None) == errno.EIO
        if broke and values["verify"] and is_tls and (why := certificate_problem(host, port, ca_file)):
            advice = "output.ca_file, or set output.verify = false to send to whoever answers there"
            raise OutputError(f"{target}: {distrust(host, why)} {advice}") from error
        raise


def _packet(values: dict[str, object], tracks: dict[Kind, CodecParameters], data: bytes) -> Packet:
    kind: Kind = "video" if values["kind"] == "video" else "audio"
    pts, dts, duration = (int(str(values[name])) for name in ("pts", "dts", "duration"))
    return Packet(kind, tracks[kind], data, pts, dts, duration, keyframe=bool(values["keyframe"]), arrived=0)
