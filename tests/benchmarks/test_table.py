from pathlib import Path

import pytest

from benchmarks.results import Benchmark
from benchmarks.table import START, STOP, markdown, update_readme
from vidrestore.errors import OutputError

ROOT = Path(__file__).parents[2]


def test_the_table_shows_speed_ratio_faces_gpu_memory_and_bound(made_up: Benchmark) -> None:
    text = markdown(made_up)
    assert "Whole commands on the GPU, network: 512 px" in text
    start = "x264 medium alone (100 frames/s) and 5.0 s of start: 90% reached"
    ours = f"| 1080p-6, vidrestore, medium | 3 x 400 | 40 (39-41) | 8 | 240 | 61 % | 2.00 GiB | 3.00 GiB | {start} |"
    assert ours in text
    assert "| 1080p-6, lightest reference | 3 x 100 | 5 (5-5) | 1 | 30 | 61 % |" in text
    assert "| restore | 10 |" in text


def test_rows_of_a_video_are_in_one_order_whatever_was_measured_first(made_up: Benchmark) -> None:
    text = markdown(made_up)
    places = [text.index(f"| 1080p-6, {name} |") for name in ("vidrestore, medium", "vidrestore, one second")]
    assert places == sorted(places)


def test_the_table_says_what_was_measured_and_where(made_up: Benchmark) -> None:
    text = markdown(made_up)
    for fact in (
        "Some CPU, 2 cores (amx_bf16)",
        "Some GPU",
        "0123456789ab` with uncommitted changes",
        "difference 0.5",
    ):
        assert fact in text
    assert "| ray | 10 min | 15000 | 3.00 GiB | 2.00 GiB | 400 s |" in text
    assert "| decoding alone, 1080p-6 | - | cpu | 1000 (1000-1000) | frames |" in text
    assert "arithmetic bounds it" in text


def test_nothing_measured_is_an_empty_page() -> None:
    assert not markdown(Benchmark()).strip()


def test_only_the_text_between_the_markers_is_replaced(made_up: Benchmark, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}\nold table\n{STOP}\nafter\n", encoding="utf-8")
    update_readme(readme, made_up)
    update_readme(readme, made_up)
    assert readme.read_text(encoding="utf-8") == f"before\n{START}\n{markdown(made_up)}\n{STOP}\nafter\n"


def test_a_readme_without_markers_stays_as_it_is(made_up: Benchmark, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no table wanted\n", encoding="utf-8")
    with pytest.raises(OutputError, match="lacks the markers"):
        update_readme(readme, made_up)
    assert readme.read_text(encoding="utf-8") == "no table wanted\n"


def test_the_page_shows_what_was_measured() -> None:
    measured = Benchmark.read(ROOT / "benchmarks" / "benchmark.json")
    page = (ROOT / "docs" / "benchmarks" / "speed.md").read_text(encoding="utf-8")
    assert f"{START}\n{markdown(measured)}\n{STOP}" in page
