"""An evaluation as tables: one for each strength of damage, made from the report and from nothing else."""

from vidrestore.evaluation.images.results import EvaluationReport, Score
from vidrestore.markdown import Table, cell, markdown_page, markdown_text

_HEAD = (
    "candidate",
    "PSNR dB",
    "SSIM",
    "feature distance",
    "identity",
    "sharpness",
    "landmarks %",
    "iris",
    "mouth",
    "cheek",
    "not found",
    "faces",
)
_COLOURS = slice(_HEAD.index("iris"), _HEAD.index("cheek") + 1)
NOTES = (
    "PSNR, SSIM and identity: higher is better. Feature distance and landmarks: lower is better.",
    "Sharpness: energy of fine detail as a share of the truth's, mean (median); 1 is best, and noise counts.",
    "Landmarks: mean distance in per cent of the distance between the eyes; faces not found are counted separately.",
    "Iris, mouth and cheek: how far their colours are from the truth's, in the a*b* plane of CIELAB; lower is better.",
)


def tables(report: EvaluationReport) -> list[Table]:
    """Return one table for each strength."""
    return [Table(result.strength, _HEAD, tuple(map(_row, result.scores))) for result in report.results]


def parted(table: Table) -> tuple[Table, Table]:
    """Split a table of `tables` into two that fit a terminal of 80 columns: colours have one of their own."""
    rows = (table.head, *table.body)
    rest = tuple((*row[: _COLOURS.start], *row[_COLOURS.stop :]) for row in rows)
    colours = tuple((row[0], *row[_COLOURS]) for row in rows)
    return (
        Table(table.title, rest[0], rest[1:]),
        Table(f"{table.title}: distance of colours", colours[0], colours[1:]),
    )


def setting(report: EvaluationReport) -> str:
    """Describe in one sentence what was measured, and on what."""
    enlarged = f", {report.faces_enlarged} of them enlarged" if report.faces_enlarged else ""
    chosen = f"{report.faces} of {report.faces_available} faces ({report.part}{enlarged})"
    return f"{chosen} of {report.folder} at {report.size} px, seed {report.seed}."


def markdown(report: EvaluationReport) -> str:
    """Return all tables as Markdown, with their setting, candidates and how to read them."""
    candidates = (
        f"*{markdown_text(one.name)}*: {markdown_text(one.what)}{f', sha256 {one.sha256[:12]}' if one.sha256 else ''}"
        for one in report.candidates
    )
    return markdown_page("Evaluation", setting(report), tables(report), (*NOTES, *candidates))


def _row(score: Score) -> tuple[str, ...]:
    return (
        score.candidate,
        f"{score.psnr_decibels:.2f}",
        f"{score.ssim:.4f}",
        f"{score.feature_distance:.3f}",
        f"{score.identity_cosine:.3f}",
        f"{score.sharpness_ratio:.3f} ({score.sharpness_ratio_median:.3f})",
        cell(score.landmark_percent, 2),
        *(cell(value, 2) for value in (score.iris_chroma, score.mouth_chroma, score.cheek_chroma)),
        str(score.landmark_missed),
        str(score.faces),
    )
