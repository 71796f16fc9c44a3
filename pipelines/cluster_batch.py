r"""An archive on a Ray cluster: every video of folders or buckets, restored on all nodes of the cluster.

    ray job submit --address http://HEAD:8265 --working-dir . -- \
        python -m pipelines.cluster_batch s3://archive/1970 s3://archive/restored

Sources and results lie where every node sees them: in a store, or in a folder that all of them mount. The job may be
stopped, or lose nodes, at any time: the same command continues. Quality comes before speed: what is stored once is
watched for decades.
"""

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.batch import run_shown
from vidrestore.cli.terminal import run_to_exit
from vidrestore.config import apply_settings, update
from vidrestore.jobs.config import BatchConfig

ARCHIVE = {
    "restore": {"encode": {"codec": "libx264", "crf": 16.0, "preset": "slow"}},
    "ray": {"placement": "spread", "retries": 5, "start_timeout_seconds": 1800.0},
    "on_error": "passthrough",
}
"""Options for archives. A second that cannot be restored is better left as it was than missing; it is reported."""


def main(
    sources: Annotated[
        list[str], typer.Argument(help="Videos, folders, patterns or addresses; the last is the output.")
    ],
    manifest: Annotated[Path | None, typer.Option(help="CSV or JSON lines: source, destination, options.")] = None,
    model: Annotated[str, typer.Option(help="embedded, gfpgan-v1.4, ..., or a file that every node has.")] = "embedded",
    address: Annotated[str, typer.Option(help="Address of the cluster; a submitted job finds its own.")] = "auto",
    gpus_per_face_worker: Annotated[
        float | None, typer.Option(help="Share of a GPU for a set of networks, such as 0.5; default: a whole one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PART.OPTION=VALUE", help="Any option.")
    ] = None,
) -> None:
    """Restore them all; exit with 1 if a video failed."""
    *videos, out = sources
    chosen = {
        "restore": {"restorer": {"model": model}},
        "ray": {"address": address, "gpus_per_face_worker": gpus_per_face_worker},
        "manifest": manifest,
    }
    job = apply_settings(update(update(BatchConfig(), ARCHIVE), chosen), settings or [])
    run_shown(videos, out, job, quiet=False)


if __name__ == "__main__":
    run_to_exit(main)
