"""What the process of a connection does: requests in, answers out. See `muxer_process`."""

from typing import BinaryIO

from vidrestore.errors import OutputError
from vidrestore.live.addresses import parse_target
from vidrestore.live.messages import receive, send
from vidrestore.live.muxers import Muxer, connection_options
from vidrestore.live.packets import Kind, Packet
from vidrestore.live.track import Track


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Do what is asked, one thing after the other, until the requests end."""
    muxer: Muxer | None = None
    tracks: dict[Kind, Track] = {}
    while (request := receive(requests)) is not None:
        values, data = request
        answer: dict[str, object] = {}
        try:
            match values["do"]:
                case "track":
                    tracks[values["kind"]] = Track(data)
                case "open":
                    target = parse_target(values["url"])
                    options, url = connection_options(target, transport=values["transport"])
                    muxer = Muxer(target, tracks, origin=values["origin"], options=options, url=url)
                    answer["left_out"] = muxer.left_out
                case "mux":
                    assert muxer is not None, "opened before"  # noqa: S101
                    muxer.mux(_packet(values, tracks, data))
                case "close":
                    if muxer is not None:
                        muxer.close()
        except OutputError as error:
            answer["problem"] = error.message
        send(answers, answer)


def _packet(values: dict[str, object], tracks: dict[Kind, Track], data: bytes) -> Packet:
    kind: Kind = "video" if values["kind"] == "video" else "audio"
    pts, dts, duration = (int(str(values[name])) for name in ("pts", "dts", "duration"))
    return Packet(kind, tracks[kind], data, pts, dts, duration, keyframe=bool(values["keyframe"]), arrived=0)
