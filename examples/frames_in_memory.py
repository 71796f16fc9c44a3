"""Restore frames in memory, for a program of your own: `python examples/frames_in_memory.py old.mp4`."""

import sys

import vidrestore

if __name__ == "__main__":
    with vidrestore.open_video(sys.argv[1]) as video, vidrestore.Restorer(faces="largest") as restorer:
        for frame in restorer(video):
            rgb = vidrestore.to_rgb(frame)
            print(f"{float(frame.seconds):.3f} s: uint8 {rgb.shape}, mean {rgb.mean():.1f}")
