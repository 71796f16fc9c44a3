"""Weights by name: where they come from, what they must hash to, and a cache that works offline.

Every file is pinned by its sha256. The authors of GFP-GAN and facexlib publish no hashes; the pinned ones agree
across independent integrators and packagers of the same release assets.
"""

import contextlib
import difflib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
import requests

from vidrestore.errors import ModelError

_hashes: dict[tuple[int, ...], str] = {}
"""sha256 by device, inode, size and times of a file; the time of its last change cannot be set by anybody."""
Progress = Callable[[int, int | None], None]
"""Called while downloading with the bytes held so far and, where the server says it, the bytes in all."""

_GFPGAN = "https://github.com/TencentARC/GFPGAN/releases/download"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
_ATTEMPTS = 4
_TIMEOUT_SECONDS = (10, 60)
_CHUNK_BYTES = 1 << 20
_EXTENSION = re.compile(r"\.[A-Za-z]\w*")
"""Extension of a file; the end of a name such as gfpgan-v1.4 is none."""


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One file of weights."""

    name: str
    kind: Literal["restorer", "detector"]
    filename: str
    """Name of the file in the cache folder, or in the package when there is no URL."""
    urls: tuple[str, ...]
    """Addresses of the same bytes, tried in order; none for weights in the package."""
    sha256: str
    size: int
    """Size in bytes, for display; the check is that of the hash."""
    licence: str
    description: str


_ENTRIES = (
    ZooEntry(
        name="embedded",
        kind="restorer",
        filename="gfpgan256.safetensors",
        urls=(),
        sha256="3a850ddb14c222fa56d8777dfbc64eae2cc9b061261dc56775e5af400c40f955",
        size=35_554_016,
        licence="Apache-2.0",
        description="a compact GFP-GAN of 256 px, trained by this project; inside the package, needs no download",
    ),
    ZooEntry(
        name="embedded-fast",
        kind="restorer",
        filename="light256.safetensors",
        urls=(),
        sha256="a09c0bd3e5de1f7cc938557745d6d0efaf9f635d2dbb983af5ad8766bbcbe6f4",
        size=9_098_296,
        licence="Apache-2.0",
        description="a light network of 256 px that learnt from the embedded one, six times as fast on a CPU and a "
        "little softer; inside the package",
    ),
    ZooEntry(
        name="gfpgan-v1.4",
        kind="restorer",
        filename="GFPGANv1.4.pth",
        urls=(f"{_GFPGAN}/v1.3.0/GFPGANv1.4.pth", f"{_GFPGAN}/v1.3.4/GFPGANv1.4.pth"),
        sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
        size=348_632_874,
        licence="Apache-2.0",
        description="the authors' latest, 512 px: more detail and better identity than v1.3; trained on FFHQ",
    ),
    ZooEntry(
        name="gfpgan-v1.3",
        kind="restorer",
        filename="GFPGANv1.3.pth",
        urls=(f"{_GFPGAN}/v1.3.0/GFPGANv1.3.pth",),
        sha256="c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
        size=348_632_874,
        licence="Apache-2.0",
        description="the authors', 512 px: natural, good on very low quality; trained on FFHQ",
    ),
    ZooEntry(
        name="gfpgan-v1.2",
        kind="restorer",
        filename="GFPGANCleanv1-NoCE-C2.pth",
        urls=(f"{_GFPGAN}/v0.2.0/GFPGANCleanv1-NoCE-C2.pth", f"{_GFPGAN}/v1.3.0/GFPGANv1.2.pth"),
        sha256="29e25ee90c170f4231163f4c83df6b59c968b73f3ce00cb884015ae005db083c",
        size=348_632_874,  # stated only as 332.5 MiB, which this is
        licence="Apache-2.0",
        description="the authors', 512 px: sharp, with some make-up; trained on FFHQ",
    ),
    ZooEntry(
        name="retinaface-mobile0.25",
        kind="detector",
        filename="retinaface_mobilenet.safetensors",
        urls=(),
        sha256="ac09d5e2b68ac8a3e98894d51ed780518dae8b6bd5218b3bb63f01c969506e2e",
        size=1_760_432,
        licence="MIT",
        description="RetinaFace on MobileNet 0.25: the default face detector; inside the package, needs no download",
    ),
    ZooEntry(
        name="retinaface-resnet50",
        kind="detector",
        filename="detection_Resnet50_Final.pth",
        urls=(f"{_FACEXLIB}/v0.1.0/detection_Resnet50_Final.pth",),
        sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        size=109_497_761,
        licence="MIT",
        description="RetinaFace on ResNet-50: finds more faces than the embedded detector, about ten times slower",
    ),
)


def choices(model: str) -> tuple[str, ...]:
    """Return the models that a name may mean: of auto, the one for a CPU and the one for other devices; else itself."""
    return ("embedded-fast", "embedded") if model == "auto" else (model,)


def entries() -> tuple[ZooEntry, ...]:
    """Return all weights that have a name."""
    return _ENTRIES


def cache_folder() -> Path:
    """Return the folder of downloads: `VIDRESTORE_CACHE`, or the user's cache folder. It need not exist yet."""
    override = os.environ.get("VIDRESTORE_CACHE")
    return Path(override).expanduser() if override else platformdirs.user_cache_path("vidrestore")


def resolve(name_or_path: str | Path, *, on_progress: Progress | None = None) -> Path:
    """Find weights: a name is downloaded once and checked; text with a slash or an extension is the path of a file.

    A name never means a file, so that no file that happens to lie in the current folder takes a model's place.

    Raises:
        ModelError: There is neither such a file nor such a name, or `fetch` failed.
    """
    if isinstance(name_or_path, str) and not is_path(name_or_path):
        return fetch(name_or_path, on_progress=on_progress)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise ModelError(f"no weights at {path}; give an existing file or one of {_names()}")
    return path


def is_path(text: str) -> bool:
    """Return whether text means a file of weights rather than a name of the zoo: it has a slash or an extension."""
    if any(entry.name == text for entry in entries()):
        return False
    return os.sep in text or _EXTENSION.fullmatch(Path(text).suffix) is not None


def absolute(name_or_path: str) -> str:
    """Make a path absolute, for processes in other folders; return a name unchanged."""
    return str(Path(name_or_path).expanduser().absolute()) if is_path(name_or_path) else name_or_path


def fetch(name: str, *, on_progress: Progress | None = None) -> Path:
    """Return the file of a named model, downloaded unless the cache has it; a broken download is resumed.

    The file's bytes are hashed once in every process that uses it: other users who may write to the
    cache cannot replace them. Several processes may fetch at once: one downloads, the others wait for it.

    Raises:
        ModelError: The name is unknown, the network or the disk failed, or the bytes are not the pinned ones.
    """
    entry = _entry(name)
    target = _target(entry)
    if not entry.urls or target.is_file():
        return _checked(entry, target)
    try:
        with _locked(target):
            if not target.is_file():
                _download(entry, target, on_progress or _silent)
            return _checked(entry, target)
    except OSError as error:
        raise ModelError(
            f"cannot keep {name} in {target.parent}: {error}; free space or set VIDRESTORE_CACHE"
        ) from error


def is_here(name: str) -> bool:
    """Return whether the file of a named model is on this host; its bytes are not checked.

    Raises:
        ModelError: The name is unknown.
    """
    return _target(_entry(name)).is_file()


def verify(name: str) -> Path:
    """Hash the file of a named model again; return its path.

    Raises:
        ModelError: The name is unknown, the file is not there, or its bytes are not the pinned ones; a download
            that does not match is removed.
    """
    entry = _entry(name)
    target = _target(entry)
    if not target.is_file():
        raise ModelError(f"{name} is not at {target}; fetch it first")
    _hashes.clear()
    return _checked(entry, target)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal, computed once per process until the kernel reports a change.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        found = path.stat()
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key not in _hashes:
            _hashes[key] = _hash(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    return _hashes[key]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(name: str) -> ZooEntry:
    for entry in entries():
        if entry.name == name:
            return entry
    close = difflib.get_close_matches(name.lower(), [entry.name for entry in entries()], n=1, cutoff=0.5)
    hint = f" did you mean {close[0]!r}?" if close else ""
    if Path(name).is_file():
        hint = f" the file of that name is ./{name};"
    raise ModelError(f"unknown model {name!r};{hint} give the path of a file, with a slash in it, or one of {_names()}")


def _names() -> str:
    return ", ".join(entry.name for entry in entries())


def _target(entry: ZooEntry) -> Path:
    return (cache_folder() if entry.urls else Path(__file__).parent / "weights") / entry.filename


def _checked(entry: ZooEntry, path: Path) -> Path:
    found = sha256_of(path)
    if found == entry.sha256:
        return path
    if not entry.urls:
        raise ModelError(f"{path} has sha256 {found}, wanted {entry.sha256}; install vidrestore again")
    path.unlink(missing_ok=True)
    raise ModelError(f"{path} had sha256 {found}, wanted {entry.sha256}; it was removed: fetch {entry.name} again")


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the right to download `target`; the kernel gives it back when a process dies."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(f"{target.name}.lock"), "a", opener=_without_links) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _without_links(path: str, flags: int) -> int:
    """Open a file of the cache, where others may have planted a link to one that is not theirs to write."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _silent(_held: int, _total: int | None) -> None:
    pass


def _download(entry: ZooEntry, target: Path, progress: Progress) -> None:
    """Try each address until one gave all its bytes, and put them in place once they hash right."""
    partial = target.with_name(f"{target.name}.part")
    failures: list[str] = []
    for url in entry.urls:
        try:
            _resume(url, partial, progress)
        except requests.RequestException as error:
            failures.append(f"{url}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
            continue
        found = _hash(partial)
        if found == entry.sha256:
            partial.replace(target)
            return
        partial.unlink()
        failures.append(f"{url}: got sha256 {found}, wanted {entry.sha256}, so the file was removed")
    raise ModelError(
        f"cannot download {entry.name} ({'; '.join(failures)}); try again, or download {entry.urls[0]} by hand "
        f"to {target}"
    )


def _resume(url: str, partial: Path, progress: Progress) -> None:
    """Stream `url` to `partial`, going on where an earlier try ended; lost connections are tried again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _stream(url, partial, progress)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _stream(url: str, partial: Path, progress: Progress) -> None:
    held = partial.stat().st_size if partial.is_file() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{held}":
                return  # an earlier run ended between the last byte and the renaming
            partial.unlink()
            raise requests.ConnectionError(f"the file is shorter than the {held} bytes held; starting over")
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            held = 0  # the server sends the whole file, whatever was asked
        length = response.headers.get("Content-Length")
        total = held + int(length) if length else None
        with open(partial, "ab" if held else "wb", opener=_without_links) as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                held += len(chunk)
                progress(held, total)
