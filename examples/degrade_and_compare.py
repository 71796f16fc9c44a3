"""Damage a good video, restore it, and measure: `python examples/degrade_and_compare.py truth.mp4 FOLDER`."""

import sys
from pathlib import Path

import vidrestore

if __name__ == "__main__":
    truth, folder = sys.argv[1], Path(sys.argv[2])
    damaged, restored = folder / "damaged.mp4", folder / "restored.mp4"
    vidrestore.degrade_video(truth, damaged, preset="vhs", seed=3)
    vidrestore.restore_video(damaged, restored, runtime="local")
    for video in vidrestore.compare_videos(truth, [restored], degraded=damaged).videos:
        print(f"{video.role}: PSNR of faces {video.summary.psnr_faces:.2f} dB")
