from pathlib import Path

import pytest

from benchmarks.results import Benchmark
from benchmarks.table import START, STOP, markdown, update_readme
from vidrestore.errors import InputError, OutputError


def test_json_comes_back_as_the_same_values(made_up: Benchmark) -> None:
    assert Benchmark.from_json(made_up.to_json()) == made_up


def test_other_json_is_refused_with_the_place_of_the_fault(made_up: Benchmark) -> None:
    with pytest.raises(InputError, match=r"clip\.frames"):
        Benchmark.from_json(made_up.to_json().replace('"frames": 100,\n    "width"', '"frames": "many",\n    "width"'))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json"):
        Benchmark.read(tmp_path / "nothing.json")


def test_the_file_appears_whole_and_nothing_beside_it(made_up: Benchmark, tmp_path: Path) -> None:
    made_up.write(tmp_path / "benchmark.json")
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]
    assert Benchmark.read(tmp_path / "benchmark.json") == made_up


def test_the_table_shows_speed_quartiles_and_the_ratio_to_the_reference(made_up: Benchmark) -> None:
    text = markdown(made_up)
    assert "| ours | 40 (39-41) | 8 (7.8-8.2) | 2.5 s |" in text
    assert "| rival | 5 (5-5) | - | 2.5 s |" in text
    assert "| restore | 25 | 25 |" in text


def test_the_table_says_what_was_measured_and_where(made_up: Benchmark) -> None:
    text = markdown(made_up)
    for fact in ("Some CPU, 2 cores (amx_bf16)", "no GPU", "640x360", "0123456789ab` with uncommitted changes"):
        assert fact in text
    assert "| ray | 10 min | 15000 | 3.00 GiB | 2.00 GiB | 400 s |" in text


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
