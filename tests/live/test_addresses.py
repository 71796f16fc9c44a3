"""What a user may write for a source and a destination."""

from pathlib import Path

import pytest

from vidrestore.errors import ConfigError
from vidrestore.live.addresses import absolute, endpoint, parse_source, parse_target
from vidrestore.redaction import redact


@pytest.mark.parametrize(
    ("text", "kind", "paced"),
    [
        ("rtsp://cam/live", "rtsp", False),
        ("RTSPS://user:pw@cam:322/live", "rtsp", False),
        ("rtmp://host/app/key", "rtmp", False),
        ("https://host/live.m3u8", "http", True),
        ("udp://239.0.0.1:5000", "udp", False),
        ("udp://@:5000", "udp", False),
        ("tcp://host:9000", "tcp", False),
        ("/dev/video0", "device", False),
        ("v4l2:///dev/video3", "device", False),
    ],
)
def test_sources(text: str, kind: str, paced: bool) -> None:  # noqa: FBT001
    source = parse_source(text)
    assert (source.kind, source.paced) == (kind, paced)
    assert "pw" not in str(source)
    assert "pw" not in repr(source)


def test_a_file_is_a_source_that_keeps_time(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.touch()
    assert parse_source(str(video)).paced
    assert parse_source(f"file://{video}").url == str(video)


@pytest.mark.parametrize(
    ("text", "kind", "container"),
    [
        ("rtsp://server/x", "rtsp", "rtsp"),
        ("rtmp://server/app/key", "rtmp", "flv"),
        ("udp://127.0.0.1:5000", "udp", "mpegts"),
        ("tcp://127.0.0.1:5000", "tcp", "mpegts"),
        ("wall/", "hls", "hls"),
        ("wall/x.m3u8", "hls", "hls"),
        ("rec/cam.mp4", "recording", "mp4"),
        ("rec/cam.MKV", "recording", "matroska"),
    ],
)
def test_destinations(text: str, kind: str, container: str) -> None:
    target = parse_target(text)
    assert (target.kind, target.container) == (kind, container)


@pytest.mark.parametrize("text", ["ftp://h/x", "no-such-file.mp4", "rtsp://", "rtsp:///live", "rtsp://h:nine/x"])
def test_a_source_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="source"):
        parse_source(text)


@pytest.mark.parametrize("text", ["http://h/x", "film.avi", "srt://h:1", "rtsp://:1234/"])
def test_a_destination_that_cannot_be_written_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="destination"):
        parse_target(text)


def test_a_refusal_hides_the_password() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_source("ftp://admin:hunter2@host/x")
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("url", ["rtsp://admin:se#cret@cam/live", "rtsp://admin:se/cret@cam", "rtsp://u:se?cret@h:x/"])
def test_a_password_with_characters_of_urls_is_never_shown(url: str) -> None:
    try:
        shown = str(parse_source(url))
    except ConfigError as refused:
        shown = refused.message
    assert "cret" not in shown


def test_a_stream_key_is_a_secret() -> None:
    assert str(parse_target("rtmp://live.example/app/my-key")) == "rtmp://live.example/app/***"
    assert str(parse_source("rtmps://u:p@live.example:443/app/my-key")) == "rtmps://***@live.example:443/app/***"


def test_an_address_is_shown_from_its_harmless_parts_alone() -> None:
    shown = str(parse_source("rtsp://admin:it's@cam:554/cam/realmonitor?channel=1&loginpas=S3cret&x"))
    assert shown == "rtsp://***@cam:554/cam/realmonitor?channel=1&loginpas=***&***"
    assert str(parse_source("rtsps://h:7441/vlLAYe1BAKSpYB5J?enableSrtp")) == "rtsps://h:7441/***?***"
    assert "S3cret" not in redact("the server refuses S3cret")
    assert "vlLAYe1BAKSpYB5J" not in redact("404: /vlLAYe1BAKSpYB5J")


@pytest.mark.parametrize("name", ["12:30.mp4", "http:x.mp4", "rtsp:film.mp4", "concat:a.mp4", "-v.mp4"])
def test_odd_names_are_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    assert parse_source(name).url == str(tmp_path / name)
    assert parse_target(name).url == str(tmp_path / name)
    assert absolute(name) == str(tmp_path / name)
    assert parse_target(f"{name}/").url == str(tmp_path / name / "stream.m3u8")
    assert absolute("wall/") == f"{tmp_path}/wall/"
    assert absolute("rtsp://h/x") == "rtsp://h/x"


@pytest.mark.parametrize(
    ("url", "found"),
    [("rtsp://u:p@h/x", ("h", 554)), ("rtmp://h:99/x", ("h", 99)), ("rec.mp4", None), ("tcp://h", None)],
)
def test_the_server_of_a_url_is_known(url: str, found: tuple[str, int] | None) -> None:
    assert endpoint(url) == found
