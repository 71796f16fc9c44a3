"""Where a job keeps what it needs: all of it in one hidden folder of its output folder."""

STATE_FOLDER = ".vidrestore"
"""In the output folder: the journal, the lock and, until their film is joined, the parts."""
JOURNAL = "journal.jsonl"
PARTS = "parts"
REPORT = "job_report.json"
PAGE = "job_report.html"
