"""Films that somebody damaged or made: what becomes of a sound file, by a number alone."""

import random
import struct
from collections.abc import Callable

_EXTREMES = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x01")
_BOXES = (
    *(b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"mdia", b"mdhd", b"hdlr", b"minf", b"stbl", b"stsd", b"stts"),
    *(b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"elst", b"edts", b"udta", b"meta", b"avcC", b"esds", b"mdat"),
    *(b"RIFF", b"LIST", b"hdrl", b"avih", b"strl", b"strh", b"strf", b"movi", b"idx1", b"OggS", b"FLV\x01"),
    *(b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x15I\xa9f", b"\x16T\xaek", b"\x1fC\xb6u", b"\x1cS\xbbk", b"\x11M\x9bt"),
)
"""Marks of boxes, chunks and elements: a size is beside each."""
_TEXTS = (
    b"ffconcat version 1.0\nfile film.mp4\n",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nfilm.mp4\n",
    b"YUV4MPEG2 W99999 H99999 F1:1 Ip A0:0 C420jpeg\nFRAME\n",
)


def mutated(video: bytes, seed: int) -> bytes:
    """Change a film in one to three ways; the same seed gives the same bytes."""
    chance = random.Random(seed)  # noqa: S311  not for secrets
    changed = bytearray(video)
    for _ in range(chance.choice((1, 1, 2, 3))):
        chance.choice(_WAYS)(changed, chance)
    return bytes(changed)


def _flip(video: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 20, 200))):
        if video:
            video[_place(video, chance)] ^= 1 << chance.randrange(8)


def _extreme(video: bytearray, chance: random.Random) -> None:
    at = _place(video, chance)
    video[at : at + 4] = chance.choice(_EXTREMES)


def _cut_off(video: bytearray, chance: random.Random) -> None:
    del video[_place(video, chance) :]


def _cut_out(video: bytearray, chance: random.Random) -> None:
    at = _place(video, chance)
    del video[at : at + chance.choice((1, 16, 188, 1000))]


def _repeat(video: bytearray, chance: random.Random) -> None:
    at, length = _place(video, chance), chance.choice((4, 64, 188, 2000))
    video[at:at] = video[at : at + length] * chance.choice((1, 2, 20))


def _swap(video: bytearray, chance: random.Random) -> None:
    length = chance.choice((8, 64, 188, 1000))
    one, other = sorted((_place(video, chance), _place(video, chance)))
    if one + length <= other:
        video[one : one + length], video[other : other + length] = (
            video[other : other + length],
            video[one : one + length],
        )


def _lie_about_size(video: bytearray, chance: random.Random) -> None:
    at = _mark(video, chance)
    if at is None:
        return
    size = chance.choice((0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, len(video), chance.randrange(1, 1 << 20)))
    before = at - 4 if chance.random() < 0.5 and at >= 4 else at + 4  # MP4's sizes come before, the others' after
    video[before : before + 4] = struct.pack(chance.choice("<>") + "I", size)


def _lie_in_table(video: bytearray, chance: random.Random) -> None:
    at = _mark(video, chance)
    if at is not None:
        place = at + 4 + 4 * chance.randrange(1, 8)
        video[place : place + 4] = chance.choice((*_EXTREMES, struct.pack(">I", chance.randrange(1 << 28))))


def _reorder(video: bytearray, chance: random.Random) -> None:
    one, other = _mark(video, chance), _mark(video, chance)
    if one is not None and other is not None and one < other:
        video[one:] = video[other:] + video[one:other]


def _begin_with_text(video: bytearray, chance: random.Random) -> None:
    text = chance.choice(_TEXTS)
    video[: chance.choice((0, len(text)))] = text


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _flip, _extreme, _extreme, _cut_off, _cut_out, _repeat, _swap),
    *(_lie_about_size, _lie_about_size, _lie_in_table, _lie_in_table, _reorder, _begin_with_text),
)


def _place(video: bytearray, chance: random.Random) -> int:
    """Anywhere, but mostly near the beginning or the end, where headers and indices are."""
    if not video:
        return 0
    near = min(len(video), 2000)
    where = chance.randrange(3)
    if where == 0:
        return chance.randrange(near)
    return len(video) - 1 - chance.randrange(near) if where == 1 else chance.randrange(len(video))


def _mark(video: bytearray, chance: random.Random) -> int | None:
    found = [video.find(mark) for mark in _BOXES if mark in video]
    return chance.choice(found) if found else None
