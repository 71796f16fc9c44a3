"""Read a film and write it again, bit for bit: `python examples/copy_without_loss.py film.mp4 copy.mkv`."""

import sys
from pathlib import Path

from vidrestore.media.config import EncodeConfig
from vidrestore.media.output import atomic_output, scratch_dir
from vidrestore.media.reader import VideoReader
from vidrestore.media.remux.mux import join
from vidrestore.media.writer import VideoWriter


def main(source: str, destination: str) -> None:
    """Decode, encode as FFV1, and bring sound and subtitles over."""
    with scratch_dir(Path(destination)) as folder:
        part = folder / "video"
        with VideoReader(source) as reader, VideoWriter(part, reader.info, EncodeConfig(lossless=True)) as writer:
            for frame in reader:
                writer.write(frame)
            print(f"{reader.statistics.frames} frames of {reader.info.pixel_format}")
        with atomic_output(Path(destination)) as result:
            join([part], Path(source), result)


if __name__ == "__main__":
    main(*sys.argv[1:])
