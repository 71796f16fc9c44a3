"""Lines of the log: one for each event, whatever is in it."""

import json
import logging

import pytest

from vidrestore.server.logs import JsonLines, Lines

HOSTILE = "\x1b]0;title\x07 two\n12:00:00 [other] forged\r\x85\u2028\u202e\x9b31m\ud800"


def a_record(message: str, stream: str | None = None) -> logging.LogRecord:
    record = logging.LogRecord("vidrestore.streams", logging.INFO, "file.py", 1, "%s", (message,), None)
    record.stream = stream
    return record


def test_a_line_of_text_is_one_line_that_acts_on_nothing() -> None:
    line = Lines().format(a_record(HOSTILE, stream=HOSTILE))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert r"\x1b]0;title\x07 two\n12:00:00 [other] forged\r\x85\u2028\u202e\x9b31m\ud800" in line


def test_a_line_of_json_is_one_line_of_ascii_that_keeps_the_message_exactly() -> None:
    line = JsonLines().format(a_record(HOSTILE, stream=HOSTILE))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == json.loads(line)["stream"] == HOSTILE


@pytest.mark.parametrize("lines", [Lines(), JsonLines()])
def test_a_megabyte_from_a_server_is_cut(lines: logging.Formatter) -> None:
    line = lines.format(a_record(f"begin {1_000_000 * 'x'} end"))
    assert len(line) < 5000
    assert "begin" in line
    assert "end" in line
    assert "characters" in line


@pytest.mark.parametrize("lines", [Lines(), JsonLines()])
def test_a_secret_is_hidden_also_where_the_text_is_cut(lines: logging.Formatter) -> None:
    url = f"rtsp://admin:hunter2{5000 * 'x'}@camera/live"
    assert "hunter2" not in lines.format(a_record(f"cannot open {url}"))
