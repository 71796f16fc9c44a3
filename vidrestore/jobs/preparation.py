"""Preparation of a job: its workers, its videos, what earlier runs have done, and conflicts with existing files."""

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vidrestore import __version__, storage
from vidrestore.errors import InputError, OutputError, StorageError, VidrestoreError
from vidrestore.files import check_no_link
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.entries import SegmentDone
from vidrestore.jobs.inputs import InputVideo
from vidrestore.jobs.journal import Journal
from vidrestore.jobs.signing import KEY_VARIABLE
from vidrestore.jobs.videos import VideoProgress, VideoState, VideoStates
from vidrestore.runtime.choice import Machine, choose_runtime, local_workers
from vidrestore.runtime.worker_pool import LocalWorkerPool

if TYPE_CHECKING:
    from vidrestore.runtime.ray.worker_pool import RayWorkerPool

_log = logging.getLogger("vidrestore.jobs")
_NOT_RESULT = {"restorer": {"device", "batch_size_cpu", "batch_size_gpu", "clip_frames"}, "detector": {"device"}}
"""Options of place and speed that do not affect the result: a change of them invalidates nothing."""
_PART = re.compile(r"[0-9a-f]{40}\.mp4")
_SCRATCH = re.compile(r"\.order-[a-z0-9_]{8}")
_MAX_LOST = 10
"""Number of videos at the beginning, all without an answer of their store, after which the job ends."""


def open_pool(config: JobConfig, work: float | None = None) -> "LocalWorkerPool | RayWorkerPool":
    """Start the workers that a configuration asks for; leaving their context stops them.

    Args:
        config: of the job.
        work: estimated work in frames of a very small video; None: unknown.
    """
    device = config.restore.restorer.device
    machine = Machine.here(device)
    choice = choose_runtime(config.runtime, config.ray, machine, device=device, work=work)
    _log.info("runtime %s: %s", choice.runtime, choice.reason)
    if choice.runtime == "local":
        return LocalWorkerPool.load(config.restore, workers=local_workers(machine, most=config.workers))
    from vidrestore.runtime.ray.worker_pool import RayWorkerPool  # noqa: PLC0415  a local job imports no Ray

    return RayWorkerPool(config.restore, config.ray, most=config.workers, stall_seconds=config.stall_seconds)


def fingerprint_all(tasks: Iterable[InputVideo]) -> list[tuple[str, VidrestoreError | None]]:
    """Return the fingerprint of each source, or the error: such a video fails alone.

    Raises:
        StorageError: the store does not answer for any of many sources.
    """
    found: list[tuple[str, VidrestoreError | None]] = []
    lost = 0
    for task in tasks:
        if task.error is not None:
            found.append(("", InputError(task.error)))
            continue
        try:
            found.append((storage.fingerprint(task.source), None))
        except VidrestoreError as error:
            lost += isinstance(error, StorageError)
            if lost == len(found) + 1 > _MAX_LOST:
                raise
            found.append(("", error))
    return found


def options_of(task: InputVideo, model_sha256: str) -> str:
    """Return the SHA-256 of everything that a result depends on besides its source."""
    depends = {
        "config": {
            part: {name: value for name, value in options.items() if name not in _NOT_RESULT.get(part, ())}
            if isinstance(options, dict)
            else options
            for part, options in asdict(task.config).items()
        },
        "model": model_sha256,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode()).hexdigest()


def journal_notes(path: Path, journal: Journal, impossible: int) -> tuple[str, ...]:
    """Return notes about the lines of a journal that were not believed."""
    notes = []
    if journal.foreign:
        notes.append(
            f"{journal.foreign} lines of the journal {path} are not signed with your key for this folder and were not "
            "believed: somebody else, another host or an earlier version wrote them, or the folder was moved; they "
            "stay in the journal and count again with their key, or in their place; hosts share a key through "
            f"{KEY_VARIABLE}"
        )
    if journal.repaired:
        notes.append(
            f"{journal.repaired} damaged lines of the journal {path} were taken out; they are in {journal.kept_aside}"
        )
    if impossible:
        notes.append(f"{impossible} lines of the journal {path} are impossible and were not used")
    return tuple(notes)


def check_destinations(
    videos: Iterable[VideoProgress],
    states: VideoStates,
    out: str,
    *,
    overwrite: bool,
    notes: tuple[str, ...],
    is_noted: bool,
) -> None:
    """Mark videos that are finished already, and fail those that would replace a file of somebody else's.

    Args:
        videos: with what earlier runs have done filled in.
        states: moves them from state to state.
        out: the output folder.
        overwrite: whether any file may be replaced.
        notes: what of the journal was not believed, which may be why.
        is_noted: whether the journal notes what is given up; not where its own lines were not believed, for a later
            run with the right key.
    """
    for video in videos:
        if video.state is VideoState.FAILED:
            continue
        try:
            _check_destination(video, out, overwrite=overwrite, notes=notes)
        except StorageError:
            raise
        except VidrestoreError as error:
            states.fail(video, error, is_noted=is_noted)
            continue
        planned = video.planned
        if video.finished is not None and planned is not None and planned.fingerprint == video.fingerprint:
            video.resumed, video.resumed_frames = True, video.plan.frames
            states.transition(video, VideoState.DONE, "done by an earlier run")


def _check_destination(video: VideoProgress, out: str, *, overwrite: bool, notes: tuple[str, ...]) -> None:
    destination = storage.join(out, video.task.destination)
    if not storage.is_remote(out) and storage.leads_out(out, video.task.destination):
        raise OutputError(f"{destination} leads out of the output folder through a link; remove the link")
    if storage.is_folder(destination):
        raise OutputError(
            f"{destination} is a folder, and the result is called so; move it away, or name another destination"
        )
    there = storage.fingerprint(destination) if storage.exists(destination) else None
    if video.finished is not None and there != video.finished.muxed.fingerprint:
        video.finished = None
        video.parts.clear()
    published = video.record.published
    is_claimed = video.record.planned is not None
    is_ours = is_claimed and (published is None or published.muxed.fingerprint == there)
    if there is not None and video.finished is None and not is_ours and not overwrite:
        why = f" ({notes[0]})" if notes else ""
        raise OutputError(f"{destination} exists already and is not of this job{why}; add --overwrite, or move it away")


def sweep(parts: str, journal: Journal) -> None:
    """Remove unfinished files of workers that were killed."""
    if storage.is_remote(parts):
        return
    folder = Path(parts)
    check_no_link(folder)
    if not folder.is_dir():
        return
    known = {entry.report.part.rpartition("/")[2] for entry in journal.entries if isinstance(entry, SegmentDone)}
    known |= journal.foreign_parts  # another key's progress, or that of the folder before it was moved
    for path in folder.iterdir():
        if _SCRATCH.fullmatch(path.name) and path.is_dir():
            storage.remove_job_folder(str(path))
        elif _PART.fullmatch(path.name) and path.name not in known:
            storage.remove_file(str(path))
