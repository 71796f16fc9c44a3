"""The report of a job as files in its output folder, which replace nothing but earlier reports."""

from pathlib import Path

from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.files import replace_text
from vidrestore.jobs.layout import PAGE, REPORT
from vidrestore.jobs.page import PAGE_BEGINNINGS, render_html
from vidrestore.jobs.report import JobReport
from vidrestore.report import is_report
from vidrestore.report_json import to_json

_MOST_BYTES = 1 << 28


def check_job_reports(out: str, *, overwrite: bool) -> None:
    """Make sure that the report will replace nothing but an earlier one, before any work.

    Raises:
        OutputError: another file has that name; a folder is not replaced with `overwrite` either.
    """
    for name in (REPORT, PAGE):
        if storage.is_folder(storage.join(out, name)):
            raise OutputError(f"{storage.join(out, name)} is a folder, and a report is called so; move it away")
        if not overwrite and not _is_free(storage.join(out, name), json=name == REPORT):
            raise OutputError(
                f"{storage.join(out, name)} is no report of a job and would be replaced by one; move it away, or add "
                "--overwrite"
            )


def write_job_reports(report: JobReport, out: str) -> None:
    """Write the report as JSON and as HTML."""
    texts = {REPORT: to_json(report), PAGE: render_html(report)}
    for name, text in texts.items():
        address = storage.join(out, name)
        if storage.is_remote(out):
            storage.commit_text(text, address)
        else:
            replace_text(Path(address), text)


def _is_free(address: str, *, json: bool) -> bool:
    """Return whether there is no file, or an earlier report."""
    try:
        data = storage.beginning(address, _MOST_BYTES)
    except InputError:
        return not storage.exists(address)
    return not data or (is_report(data) if json else data.startswith(PAGE_BEGINNINGS))
