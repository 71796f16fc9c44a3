"""Secrets never reach a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.redaction import redact


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("rtsp://admin:hunter2@10.0.0.7:554/live", "rtsp://***@10.0.0.7:554/live"),
        ("rtsp://admin:p@ss:w@rd@cam/live is silent", "rtsp://***@cam/live is silent"),
        ("rtmp://streamkey@host/app", "rtmp://***@host/app"),
        ("see http://host/a.m3u8?token=abc&x=1", "see http://host/a.m3u8?token=***&x=1"),
        ("https://h/x?user=me&password=secret#top", "https://h/x?user=***&password=***#top"),
        ("https://h/x?X-Amz-Signature=0aff", "https://h/x?X-Amz-Signature=***"),
        ("rtsp://admin:se#c/r?et@cam/live", "rtsp://***@cam/live"),
        ("rtsp://a:b@c/1 and RTSP://d:e@f/2", "rtsp://***@c/1 and RTSP://***@f/2"),
    ],
)
def test_credentials_are_replaced(text: str, hidden: str) -> None:
    assert redact(text) == hidden


@pytest.mark.parametrize("text", ["mail me@example.org", "http://h/x?time=3", "a@b", ""])
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6), st.sampled_from(["rtsp", "https"]))
def test_no_password_survives_in_any_message(password: str, scheme: str) -> None:
    word = f"pw{password}"
    assert word not in redact(f"cannot open {scheme}://user:{word}@camera.local:8554/a/b?c=d: timed out")
    assert word not in redact(f"{scheme}://camera/live?access_token={word}&p=1")


@given(st.text())
def test_hiding_twice_is_hiding_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)
