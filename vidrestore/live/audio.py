"""Audio on its way through: passed on as it is, and encoded again only for outputs that cannot hold its codec.

Cameras send G.711, which neither MP4 nor MPEG-TS holds; an output without audio would be worse than audio as AAC.
"""

import io
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import numpy as np

from vidrestore.errors import OutputError
from vidrestore.live.packets import CodecParameters, Packet
from vidrestore.live.timeline import SECOND
from vidrestore.media.remux.plan import why_not_held
from vidrestore.types import Float32

_HELD = {
    "rtsp": {"aac", "mp2", "mp3", "ac3", "opus", "vorbis", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "adpcm_g722"},
    "flv": {"aac", "mp3"},
}
"""Codecs by muxer where a trial shows nothing: FFmpeg's RTSP connects first, its FLV aborts the process on G.711."""
_MP3_IN_FLV = (11025, 22050, 44100, 48000)
"""Sample rates of MP3 in FLV, in Hz."""
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_BITS_PER_SAMPLE = 1.5
_MOST_BITS = 128_000
_CHUNK = 1024
"""Samples in an AAC packet."""
_TORN = SECOND // 50
"""Largest offset of audio from its time, in nanoseconds; beyond it samples are cut or silence is filled in."""


class SourceSound:
    """The packets of a source's audio track, in the form that every container takes.

    Args:
        stream: audio stream of the open source.
    """

    def __init__(self, stream: av.AudioStream) -> None:
        self._stream = stream
        self._filter: Any = None
        self.track: CodecParameters | None = None
        """Codec parameters, known with the first packet."""
        self.problem = ""
        """Reason that the track cannot be passed on; empty if it can."""
        if stream.codec_context.codec.canonical_name == "aac" and not stream.codec_context.extradata:
            # AAC with a header in each packet (MPEG-TS): others want one header for all
            self._filter = av.bitstream.BitStreamFilterContext("aac_adtstoasc", stream)

    def take(self, packet: "av.Packet[Any]") -> list["av.Packet[Any]"]:
        """Return the packets to pass on for a packet of the source."""
        if self.track is None and not self.problem:
            try:
                self.track = CodecParameters.of(self._stream, packet)
            except OutputError as error:
                self.problem = error.message
        return self._filter.filter(packet) if self._filter else [packet]


def holds(container: str, track: CodecParameters) -> bool:
    """Return whether a container, by FFmpeg's name, can hold an audio track."""
    return _holds(container, track.memory)


@lru_cache(maxsize=64)
def _holds(container: str, memory: bytes) -> bool:
    track = CodecParameters(memory)
    if container in _HELD:
        rate = getattr(track.stream.codec_context, "sample_rate", 0)
        fits = (container, track.codec) != ("flv", "mp3") or rate in _MP3_IN_FLV
        return track.codec in _HELD[container] and fits
    return why_not_held(track.stream, "mpegts" if container == "hls" else container) is None


class AacSound:
    """Encodes audio again, as AAC, on the same clock: it is never more than 20 ms off its time.

    Args:
        source: codec parameters of the packets that are taken.

    Raises:
        OutputError: this build of FFmpeg cannot decode it.
    """

    def __init__(self, source: CodecParameters) -> None:
        self._source = CodecParameters(source.memory)  # with a decoder of its own
        decoder = self._source.stream.codec_context
        assert isinstance(decoder, av.AudioCodecContext), "an audio track"  # noqa: S101
        self._decoder = decoder
        self._rate = min(_AAC_RATES, key=lambda rate: abs(rate - decoder.sample_rate))
        self._layout = "mono" if decoder.layout.nb_channels == 1 else "stereo"
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        """Format, layout and rate of the frames that the resampler takes."""
        try:
            decoder.open()
            self._encoder = self._prepared(av.CodecContext.create("aac", "w"))
            self.track = self._described()
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{source.codec} audio cannot be encoded again: {error}") from error
        self._samples = self._silence()[:, :0]
        self._next: int | None = None
        """Time of the first of the waiting samples, in samples of the output's clock."""

    def take(self, packet: Packet) -> list[Packet] | None:
        """Return the AAC packets that are complete with this one; None where it cannot be decoded or encoded."""
        made: list[Packet] = []
        start = round(packet.pts * self._rate / SECOND)
        try:
            for frame in self._decoder.decode(av.Packet(packet.data)):
                for samples in self._resampled(frame):
                    made += self._placed(samples, start, packet.arrived)
                    start += samples.shape[1]
        except (av.FFmpegError, ValueError):
            self._samples, self._next = self._samples[:, :0], None
            return None
        return made

    def flush(self) -> list[Packet]:
        """Encode what is left at the end; nothing is taken afterwards."""
        left = self._samples
        try:
            made = self._coded(self._filled_up(left), 0) if self._next is not None and left.shape[1] else []
            return made + self._packets(self._encoder.encode(None), 0)
        except (av.FFmpegError, ValueError):
            return []

    def _resampled(self, frame: av.AudioFrame) -> list[Float32]:
        """Resample to the encoder's rate and channels; a source may change its own in mid-stream."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or form != self._form:
            self._resampler, self._form = av.AudioResampler("fltp", self._layout, self._rate), form
        frame.pts = None  # the time is known; the resampler would fill in what it takes for gaps
        found = [np.asarray(one.to_ndarray(), np.float32) for one in self._resampler.resample(frame)]
        return [np.nan_to_num(samples.clip(-1, 1)) for samples in found]

    def _placed(self, samples: Float32, start: int, arrived: int) -> list[Packet]:
        """Append samples at their time: silence fills a gap, samples that overlap are cut."""
        if self._next is None:
            self._next = start
        made: list[Packet] = []
        missing = start - self._next - self._samples.shape[1]
        if abs(missing) * SECOND > _TORN * self._rate:
            if missing > _CHUNK:
                made += self._coded(self._filled_up(self._samples), arrived)
                self._samples, self._next = self._samples[:, :0], start
            elif missing > 0:
                samples = np.pad(samples, ((0, 0), (missing, 0)))
            else:
                samples = samples[:, -missing:]
        self._samples = np.concatenate([self._samples, samples], axis=1)
        while self._samples.shape[1] >= _CHUNK:
            made += self._coded(self._samples[:, :_CHUNK], arrived)
            self._samples, self._next = self._samples[:, _CHUNK:], self._next + _CHUNK
        return made

    def _coded(self, samples: Float32, arrived: int) -> list[Packet]:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._next, Fraction(1, self._rate)
        return self._packets(self._encoder.encode(frame), arrived)

    def _packets(self, coded: "list[av.Packet[Any]]", arrived: int) -> list[Packet]:
        duration = _CHUNK * SECOND // self._rate
        times = [round((one.pts or 0) * SECOND / self._rate) for one in coded]
        return [
            Packet("audio", self.track, bytes(one), at, at, duration, keyframe=True, arrived=arrived)
            for one, at in zip(coded, times, strict=True)
        ]

    def _filled_up(self, samples: Float32) -> Float32:
        return np.pad(samples, ((0, 0), (0, _CHUNK - samples.shape[1])))

    def _prepared(self, encoder: av.CodecContext) -> av.AudioCodecContext:
        assert isinstance(encoder, av.AudioCodecContext), "AAC is audio"  # noqa: S101
        encoder.sample_rate, encoder.layout, encoder.format = self._rate, self._layout, "fltp"
        encoder.time_base = Fraction(1, self._rate)
        channels = 1 if self._layout == "mono" else 2
        encoder.bit_rate = round(min(_MOST_BITS, _BITS_PER_SAMPLE * self._rate * channels))
        return encoder

    def _described(self) -> CodecParameters:
        """Describe the track by means of a separate encoder, which may encode silence."""
        with av.open(io.BytesIO(), "w", format="matroska") as container:
            stream = container.add_stream("aac", rate=self._rate)
            self._prepared(stream.codec_context)
            silence = av.AudioFrame.from_ndarray(self._silence(), "fltp", self._layout)
            silence.sample_rate, silence.pts = self._rate, 0
            packets = [*stream.encode(silence), *stream.encode(None)]
            container.start_encoding()
            return CodecParameters.of(stream, packets[0])

    def _silence(self) -> Float32:
        return np.zeros((1 if self._layout == "mono" else 2, _CHUNK), np.float32)
