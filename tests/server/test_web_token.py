"""How the one who runs the service gets its token, and nobody else; and that one picture is drawn once."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidrestore.live import stream as live_stream
from vidrestore.live.stream import LiveStream
from vidrestore.server.logs import start_logging
from vidrestore.server.run import _web
from vidrestore.server.web_config import WebConfig

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDRESTORE_TOKEN", raising=False)


def test_the_address_with_a_random_token_is_printed_once(
    still_service: Any, fetch_url: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for _ in range(2):
        start_logging("text")
        with _web(WebConfig("127.0.0.1:0"), still_service):
            (address,) = re.findall(r"open (http://\S+/\?token=\S{32,})", capfd.readouterr().err)
            root = address.partition("?")[0]
            assert fetch_url(root).status == 401
            assert fetch_url(address).status == 303
            assert fetch_url(f"{root}metrics", Authorization=f"Bearer {address.partition('=')[2]}").status == 200
            assert fetch_url(f"{root}health", Host="evil.example").status == 421
        assert "token" not in capfd.readouterr().err
        shown.append(address.partition("=")[2])
    assert shown[0] != shown[1]


def test_a_log_of_json_or_a_file_that_others_read_holds_no_token(
    still_service: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_logging("json")
    with _web(WebConfig("127.0.0.1:0"), still_service):
        lines = [json.loads(line)["message"] for line in capfd.readouterr().err.splitlines()]
    assert any("VIDRESTORE_TOKEN" in line for line in lines)
    assert not any("?token=" in line for line in lines)
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr("sys.stderr", log)
        start_logging("text")
        with _web(WebConfig("127.0.0.1:0"), still_service):
            pass
    assert "VIDRESTORE_TOKEN" in (tmp_path / "log").read_text()
    assert "?token=" not in (tmp_path / "log").read_text()


def test_no_token_is_a_choice(
    still_service: Any, fetch_url: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_logging("text")
    with _web(WebConfig("127.0.0.1:0", token="none"), still_service):  # noqa: S106
        told = capfd.readouterr().err
        (root,) = re.findall(r"http://\S+/", told)
        assert "token" not in told
        assert fetch_url(f"{root}metrics").status == 200
        assert fetch_url(f"{root}metrics", Host="evil.example").status == 421
    monkeypatch.setenv("VIDRESTORE_TOKEN", "a-token-of-the-tests")
    with _web(WebConfig("127.0.0.1:0"), still_service):
        told = capfd.readouterr().err
        assert "a-token-of-the-tests" not in told, "whoever set it knows it"


def test_one_picture_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        live_stream, "make_preview", lambda frame, **_: drawn.append(frame) or np.zeros((2, 2, 3), np.uint8)
    )
    stream = object.__new__(LiveStream)
    stream._pair, stream._preview = ("before", "after"), None  # type: ignore[assignment]
    first = stream.preview()
    assert first is not None
    assert stream.preview() is first
    stream._pair = ("before", "later")  # type: ignore[assignment]
    assert stream.preview() is not first
    assert drawn == ["before", "after", "before", "later"]
