"""A film is a container, never a list of other files."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from support import video_factory as videos
from vidrestore.errors import InputError
from vidrestore.media.demuxers import ALLOWED_DEMUXERS, FILE_OPTIONS
from vidrestore.media.opening import open_source

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://{private}\n#EXT-X-ENDLIST\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 15004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
MPD = '<?xml version="1.0"?>\n<MPD><Period><BaseURL>{private}</BaseURL></Period></MPD>\n'
IMF = '<?xml version="1.0"?>\n<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2013"/>\n'
PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile {private.name}\n",
    "concat-itself": "ffconcat version 1.0\nfile {self.name}\n",
    "concat-absolute": "ffconcat version 1.0\nfile '{private}'\n",
    "concat-hls": "ffconcat version 1.0\nfile list.m3u8\n",
    "concat-after-a-mark": "\ufeffffconcat version 1.0\nfile {private.name}\n",
    "hls": HLS,
    "hls-without-end": HLS.removesuffix("#EXT-X-ENDLIST\n"),
    "hls-itself": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{self.name}\n",
    "sdp": SDP,
    "dash": MPD,
    "imf": IMF,
    "pls": "[playlist]\nFile1={private}\n",
    "asx": "<asx version='3.0'><entry><ref href='{private}'/></entry></asx>",
    "asf-reference": "[Reference]\nRef1=http://127.0.0.1/x\n",
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
}


@pytest.mark.parametrize("name", ["holiday.mp4", "list.m3u8", "holiday.ts", "nothing"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlist_is_refused_in_words(kind: str, name: str, tmp_path: Path) -> None:
    private = tmp_path / "private.ts"
    videos.make_video(private, frames=2)
    (tmp_path / "list.m3u8").write_text(HLS.format(private=private))
    path = tmp_path / name
    path.write_text(PLAYLISTS[kind].format_map({"private": private, "self": path}))
    with pytest.raises(InputError, match=f"{name} is a playlist of other files .*name the files themselves"):
        open_source(path)


def test_pattern_of_numbered_pictures_is_not_followed(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"p{number:02d}.png").write_bytes(videos.png())
    pattern = tmp_path / "p%02d.png"
    pattern.write_bytes(videos.png())
    with pytest.raises(InputError, match="may name other files"):
        open_source(pattern)
    with open_source(tmp_path / "p00.png") as container:
        assert container.format.name == "png_pipe"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts", "avi", "flv", "mxf", "nut", "ogv", "mpg", "y4m"])
def test_containers_open(suffix: str, tmp_path: Path) -> None:
    codec = {
        "flv": "flv",
        "webm": "libvpx",
        "ogv": "libtheora",
        "mxf": "mpeg2video",
        "mpg": "mpeg2video",
        "y4m": "wrapped_avframe",
    }
    name = codec.get(suffix, "mpeg4")
    if name == "libtheora" and name not in av.codecs_available:
        name = "libvpx"
    path = tmp_path / f"film.{suffix}"
    videos.make_video(path, frames=12, codec=name, time_base=Fraction(1, 25))
    with open_source(path) as container:
        assert container.streams.video


def test_names_are_those_of_ffmpeg() -> None:
    names = {name for one in av.formats_available for name in (one, *one.split(","))}
    allowed = ALLOWED_DEMUXERS.split(",")
    assert set(allowed) <= names
    assert len(allowed) == len(set(allowed))
    followed = {"concat", "hls", "dash", "imf", "image2", "image2pipe", "rtsp", "sdp", "sap", "rtp", "vobsub", "mlv"}
    assert not set(allowed) & (followed | {"webm_dash_manifest", "lavfi", "tty", "data", "sbg"})


def test_reference_inside_a_movie_is_not_followed(tmp_path: Path) -> None:
    """A MOV whose samples lie, by its data reference, in another file: what it holds itself is read."""
    private, path = tmp_path / "private.mov", tmp_path / "film.mov"
    videos.make_video(private, frames=5)
    secret = _packets(private, {})
    video = private.read_bytes()
    first = video.index(b"mdat") + 4
    hollow = video[:first] + bytes(len(b"".join(secret))) + video[first + len(b"".join(secret)) :]
    path.write_bytes(_with_reference(hollow, private))
    assert not set(_packets(path, dict(FILE_OPTIONS))) & set(secret)
    # the attack itself is sound: with references allowed, FFmpeg does go there
    assert _packets(path, {"enable_drefs": "1", "use_absolute_path": "1"}) == secret


def _packets(path: Path, options: dict[str, str]) -> list[bytes]:
    with av.open(str(path), options=options) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def _with_reference(video: bytes, target: Path) -> bytes:
    """Put an alias record (type 2: absolute path) for `target` in the place of "in this file" (url, flag 1)."""
    own = struct.pack(">I4sI", 12, b"url ", 1)
    if own not in video:
        own = struct.pack(">I4sI", 12, b"alis", 1)
    at = video.index(own)
    name = str(target).encode()
    record = bytearray(10 + 140)
    volume = b"disk"
    record[10 : 11 + len(volume)] = bytes([len(volume)]) + volume
    record[50 : 51 + len(target.name)] = bytes([len(target.name)]) + target.name.encode()
    record += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + bytes(record)
    grown = len(entry) - len(own)
    out = bytearray(video[:at] + entry + video[at + len(own) :])
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = out.rindex(box, 0, at) - 4
        out[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", out, place)[0] + grown)
    return bytes(out)
