"""Metadata of containers and streams: what is carried over, and what a container loses."""

from collections.abc import Mapping

from vidrestore.media.probe import StreamInfo

_TECHNICAL = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "handler_name", "vendor_id", "duration"}
    | {"bps", "number_of_frames", "number_of_bytes", "source_id", "_statistics_tags", "_statistics_writing_app"}
    | {"_statistics_writing_date_utc", "filename", "mimetype", "creation_time", "timecode"}
)
"""Keys that muxers write about their own file or track, in lower case: no loss when one is not there."""
_OLD_FILE = _TECHNICAL - {"creation_time", "timecode", "handler_name"}
"""Keys whose values would be wrong in the new file."""

_MOV_LANGUAGES = {
    "bod": "tib", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "hye": "arm", "isl": "ice", "kat": "geo",
    "mkd": "mac", "msa": "may", "mya": "bur", "nld": "dut", "sqi": "alb", "swe": "sve", "zho": "chi",
}  # fmt: skip
"""ISO 639-2/T -> what FFmpeg's MOV muxer and demuxer call the language."""
_SPECIFIC_KEYS = ("com.apple.quicktime.", "com.android.")


def _plain(key: str) -> str:
    """Remove the suffix of a key: Matroska writes statistics as "BPS-eng"."""
    return key.lower().partition("-")[0]


def carried_over(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of a container's or a stream's metadata that are true of the new file too."""
    return {key: value for key, value in metadata.items() if _plain(key) not in _OLD_FILE}


def stream_metadata(metadata: Mapping[str, str], container: str) -> dict[str, str]:
    """Return a stream's metadata as the muxer `container` wants it written."""
    kept = carried_over(metadata)
    # MP4 reads its tracks' titles as "name", and players look for them where the handler's name is
    title = kept.setdefault("title", kept.pop("name", ""))
    handler = kept.pop("handler_name", "")
    if not title:
        del kept["title"]
    if container in {"mp4", "mov"} and (title or handler):
        kept["handler_name"] = title or handler
    if container == "mov" and kept.get("language") in _MOV_LANGUAGES:
        kept["language"] = _MOV_LANGUAGES[kept["language"]]
    return kept


def needs_quicktime_keys(metadata: Mapping[str, str]) -> bool:
    """Return whether phones' own entries are there (place, model), which MP4 and MOV hold in a separate list only."""
    return any(key.startswith(_SPECIFIC_KEYS) for key in metadata)


def lost_entries(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of the entries that the new file does not hold with the same value."""
    there = {key.lower(): value for key, value in after.items()}
    return tuple(
        key
        for key, value in carried_over(before).items()
        if _plain(key) not in _TECHNICAL and there.get(key.lower()) != value
    )


def lost_from_stream(stream: StreamInfo, before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each entry of a stream's metadata that the new file does not hold."""
    titles = {after.get(key) for key in ("title", "name", "handler_name")}
    found = {**after, **{key: value for key, value in before.items() if key in {"title", "name"} and value in titles}}
    language = found.get("language", "und")
    same_language = before.get("language", "und") in {language, _terminological(language)}
    found["language"] = before.get("language", "und") if same_language else language
    known = {key: value for key, value in before.items() if (key, value) != ("language", "und")}
    return tuple(f"{key} of {stream.type} {stream.index}" for key in lost_entries(known, found))


def _terminological(language: str) -> str:
    return next((own for own, other in _MOV_LANGUAGES.items() if other == language), language)
