"""Restore a live stream from Python, and look at it: `python examples/watch_a_camera.py SRC DST [SECONDS]`."""

import sys
import time

from vidrestore.live.config import StreamConfig
from vidrestore.printable import printable
from vidrestore.runtime.streams import LocalStreamRunner, StreamSpec


def main(source: str, destination: str, seconds: str = "10") -> None:
    """Run for a while, saying now and then how it goes."""
    config = StreamConfig()
    with LocalStreamRunner(config.restore, lambda name, message: print(printable(f"{name}: {message}"))) as place:
        stream = place.start(StreamSpec("camera", source, (destination,), config))
        deadline = time.monotonic() + float(seconds)
        while stream.running() and time.monotonic() < deadline:
            time.sleep(1)
            status = stream.status()
            print(f"{status.frames_in} frames in, {status.frames_out} out, {status.faces} faces: {status.rung_name}")
        stream.stop()
        stream.join(30)


if __name__ == "__main__":
    main(*sys.argv[1:])
