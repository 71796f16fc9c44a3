"""A gateway between cameras and viewers: every camera's faces restored, recorded, and seen on a page.

    python -m pipelines.rtsp_gateway rtsp://server:8554 porch=rtsp://user:pw@10.0.0.7/live yard=rtsp://10.0.0.8/live

Publishes each camera at SERVER/NAME, records it in files of five minutes where --recordings names a folder, and
shows all of them on http://127.0.0.1:8080/?token=TOKEN, where VIDRESTORE_TOKEN sets the token. Latency comes first;
where the host is too slow, quality is reduced.
"""

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import run_to_exit
from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.live.config import StreamConfig
from vidrestore.runtime.streams import StreamSpec
from vidrestore.server.logs import start_logging
from vidrestore.server.run import serve
from vidrestore.server.settings import ServiceConfig

GATEWAY = {
    "mode": "realtime",
    "source": {"retry": "always", "silence_seconds": 3.0},
    "restore": {"lag": 0, "selection": {"max_faces": 4}},
    "sink": {"keyframe_seconds": 1.0, "encode": {"preset": "veryfast", "crf": 22.0}},
    "output": {"record_seconds": 300.0},
}


def main(
    server: Annotated[str, typer.Argument(help="Server for the restored streams, rtsp://HOST:PORT.")],
    cameras: Annotated[list[str], typer.Argument(help="NAME=URL of each camera.")],
    recordings: Annotated[
        Path | None, typer.Option(help="Folder for recordings; without it nothing is recorded.")
    ] = None,
    web: Annotated[str, typer.Option(help="Address of the web page.")] = "127.0.0.1:8080",
    runtime: Annotated[str, typer.Option(help="ray (a process a camera) or local (one for all).")] = "ray",
) -> None:
    """Run until stopped."""
    config = update(StreamConfig(), GATEWAY)
    specs = []
    for camera in cameras:
        name, separator, url = camera.partition("=")
        if not separator:
            raise ConfigError(f"camera {camera.partition('@')[2]!r} is not of the form NAME=URL")
        files = (f"{recordings / name / name}.mp4",) if recordings else ()
        specs.append(StreamSpec(name, url, (f"{server.rstrip('/')}/{name}", *files), config))
        specs[-1].check()
    start_logging("json")
    settings = {"runtime": runtime, "web": {"listen": web}}
    serve(update(ServiceConfig(streams=tuple(specs)), settings))


if __name__ == "__main__":
    run_to_exit(main)
