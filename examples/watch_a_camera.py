"""Restore a live stream and watch it: `python examples/watch_a_camera.py rtsp://camera/live out.mkv [SECONDS]`."""

import sys

import vidrestore

if __name__ == "__main__":
    source, destination, seconds = [*sys.argv[1:], "10"][:3]
    with vidrestore.LiveStream(source, [destination], on_event=print) as stream:
        for _ in range(int(seconds)):
            if not stream.wait(1):
                break
            now = stream.status()
            print(f"{now.frames_in} frames in, {now.frames_out} out, {now.faces} faces")
