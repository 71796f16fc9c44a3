"""Real compression of a whole video: one encoder and one decoder from its first frame to its last."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vidrestore.degradation.medium.codec import (
    CodecParameters,
    open_decoder,
    open_encoder,
    to_coded,
    to_shown,
    translated,
    whole_blocks,
)
from vidrestore.errors import RestorationError
from vidrestore.types import UInt8


class VideoCodecRoundTrip:
    """A `Stage`: uint8 [h, w, 3] RGB frames in, as many of the same size out, in order, as the codec left them.

    Holds what the encoder looks ahead and the decoder holds back: for x264 up to 60 frames. Raises as
    `codec.compress` does.
    """

    def __init__(self, parameters: CodecParameters) -> None:
        self._parameters = parameters
        self._decoder = open_decoder(parameters)
        self._to_coded, self._to_shown = VideoReformatter(), VideoReformatter()
        self._taken = self._given = 0

    def push(self, picture: UInt8, /) -> list[UInt8]:
        """Take the next frame; return those that are through."""
        height, width = picture.shape[:2]
        padding = whole_blocks(self._parameters, width=width, height=height)
        padded = np.pad(picture, padding, mode="symmetric")
        if not self._taken:
            self._shape = picture.shape
            with translated(self._parameters, padded.shape):
                self._encoder = open_encoder(self._parameters, width=padded.shape[1], height=padded.shape[0])
        assert picture.shape == self._shape, "a video has one size"  # noqa: S101
        with translated(self._parameters, padded.shape):
            packets = self._encoder.encode(to_coded(padded, self._to_coded, index=self._taken))
            self._taken += 1
            return [self._shown(frame) for packet in packets for frame in self._decoder.decode(packet)]

    def flush(self) -> list[UInt8]:
        """Return the frames that encoder and decoder held back."""
        if not self._taken:
            return []
        with translated(self._parameters, self._shape):
            frames = [frame for packet in self._encoder.encode(None) for frame in self._decoder.decode(packet)]
            rest = [self._shown(frame) for frame in [*frames, *self._decoder.decode(None)]]
        if self._given != self._taken:
            raise self._lost()
        return rest

    def _shown(self, frame: av.VideoFrame) -> UInt8:
        if frame.pts != self._given:
            raise self._lost()
        self._given += 1
        left, top = self._parameters.corner
        height, width = self._shape[:2]
        # a copy: the decoder's padded picture is not to live on in a view
        return to_shown(frame, self._to_shown)[top : top + height, left : left + width].copy()

    def _lost(self) -> RestorationError:
        return RestorationError(
            f"{self._parameters.name} gave back {self._given} of {self._taken} pictures in order; report these "
            f"settings: {self._parameters}"
        )
