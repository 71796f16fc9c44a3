"""What other users of the machine, and everybody on a Ray cluster, see of a command line."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidrestore.cli.process_arguments import hidden_arguments

pytestmark = pytest.mark.integration

_MAIN = "from vidrestore.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("vidrestore\0stream\0rtsp://me:it's@cam/x\0o.mkv\0", "vidrestore\0stream\0rtsp://***@cam/x\0o.mkv\0"),
        ("v\0rtmp://h/live/K3y\0", "v\0rtmp://h/live/***\0"),
        ('v\0--set\0source.options=["headers=Authorization: Bearer abcdef"]\0', None),
        ("v\0film.mp4\0", "v\0film.mp4\0"),
        ("v\0rtsp://a:b@c\0", "v\0rtsp://***@c\0"),
    ],
)
def test_arguments_are_shown_without_secrets(arguments: str, shown: str | None) -> None:
    hidden = hidden_arguments(arguments.encode())
    assert len(hidden) == len(arguments)
    assert hidden.endswith(b"\0")
    assert b"abcdef" not in hidden
    if shown is not None:
        assert hidden.rstrip(b"\0").decode()[: len(shown)] == shown.rstrip("\0")[: len(arguments) - 1]


@pytest.mark.parametrize(
    "arguments",
    [
        "v\0stream\0rtsp://h/Zq7XsecretKey9\0",
        "v\0stream\0rtsp://h/live_Zq7XsecretKey9.sdp\0",
        'v\0--set\0source.options=["headers=X-Api: Zq7XsecretKey9","cookies=sid=Zq7XsecretKey9"]\0',
        'v\0--set=source.options=["rtsp_flags=Zq7XsecretKey9"]\0',
        "v\0--set\0sink.encode.options=Zq7XsecretKey9\0",
        "v\0--set\0source.ca_file=/home/Zq7XsecretKey9/ca.pem\0",
        "v\0--set\0source.anything=Zq7XsecretKey9\0",
        "v\0o-Zq7XsecretKey9.mkv\0rtsp://h/Zq7XsecretKey9\0",
    ],
)
def test_keys_in_paths_and_values_of_options_are_hidden(arguments: str) -> None:
    assert b"Zq7X" not in hidden_arguments(arguments.encode())


def test_plain_values_of_options_are_shown() -> None:
    for text in (
        "v\0--set\0quality.enabled=false\0",
        "v\0--set=mode=complete\0",
        "v\0--set\0output.stall_seconds=2.5\0",
    ):
        assert hidden_arguments(text.encode()) == text.encode()


def test_a_running_command_shows_no_password_and_leaves_its_environment_alone(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        "environment = Path('/proc/self/environ').read_bytes()\n"
        "from vidrestore.cli.process_arguments import hide_arguments\nhide_arguments()\n"
        "from ray._private.utils import get_entrypoint_name\n"
        "assert Path('/proc/self/environ').read_bytes() == environment\n"
        "print(Path('/proc/self/cmdline').read_bytes().decode())\nprint(get_entrypoint_name())\nprint(sys.argv[1])\n"
    )
    secret = "rtsp://admin:Hunter2Secret@127.0.0.1:9/x?loginpas=An0ther"  # noqa: S105  of a test
    # the package is loaded by its parts here: all of it loads for seconds
    done = subprocess.run([sys.executable, program, secret], capture_output=True, text=True, check=True)
    cmdline, entrypoint, argument = done.stdout.splitlines()
    for shown in (cmdline, entrypoint):
        assert "Hunter2" not in shown
        assert "An0ther" not in shown
        assert "rtsp://***@127.0.0.1:9/x" in shown
    assert argument == secret, "the command itself still knows"


def test_variables_are_taken_from_the_environment_and_shown_nowhere(tmp_path: Path) -> None:
    """In the arguments stands the variable; in what is printed not even its value."""
    source = "rtsp://admin:${CAMERA_PASSWORD}@127.0.0.1:1/x"
    arguments = [sys.executable, "-c", _MAIN, "stream", source, tmp_path / "o.mkv", "--retry", "never"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"CAMERA_PASSWORD": "it's <S3cret>"}
    ) as process:
        seen = set()
        while process.poll() is None:
            seen.add(Path(f"/proc/{process.pid}/cmdline").read_bytes())
            time.sleep(0.05)
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 1
    assert "refuses connections" in printed
    assert "S3cret" not in printed
    assert not any(b"S3cret" in cmdline for cmdline in seen)
