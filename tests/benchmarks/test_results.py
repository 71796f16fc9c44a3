from pathlib import Path

import pytest

from benchmarks.results import Benchmark, Quartiles, Run, Session, stage_milliseconds
from vidrestore.errors import InputError


def run_of(stages: dict[str, float]) -> Run:
    return Run(3.0, 10, 10, stages)


def test_quartiles_are_those_of_the_usual_definition() -> None:
    assert Quartiles.of([4, 1, 3, 2, 5]) == Quartiles(2, 3, 4)
    assert Quartiles.of([7]) == Quartiles(7, 7, 7)


def test_a_stage_that_took_no_time_is_left_out() -> None:
    runs = [run_of({"decode": 0.5, "track": 0.0}), run_of({"decode": 0.5})]
    assert stage_milliseconds(runs) == {"decode": 50}


def test_json_comes_back_as_the_same_values(made_up: Benchmark) -> None:
    assert Benchmark.from_json(made_up.to_json()) == made_up


def test_other_json_is_refused_with_the_place_of_the_fault(made_up: Benchmark) -> None:
    with pytest.raises(InputError, match=r"clip\.frames"):
        Benchmark.from_json(made_up.to_json().replace('"frames": 400,\n', '"frames": "many",\n'))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json"):
        Benchmark.read(tmp_path / "nothing.json")


def test_the_file_appears_whole_and_nothing_beside_it(made_up: Benchmark, tmp_path: Path) -> None:
    made_up.write(tmp_path / "benchmark.json")
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]
    assert Benchmark.read(tmp_path / "benchmark.json") == made_up


def test_a_later_session_replaces_only_what_it_measured_again(made_up: Benchmark, later: Session) -> None:
    joined = made_up.joined([later])
    assert len(joined.rows) == len(made_up.rows)
    assert len(joined.limits) == len(made_up.limits)
    (ours,) = [row for row in joined.rows if row.system == "vidrestore, medium"]
    assert ours.frames_per_second.median == 80
    assert max(limit.rates.median for limit in joined.limits if limit.name == "decoding alone") == 2000
    assert joined.memory == made_up.memory


def test_joining_the_same_session_as_it_grows_keeps_one(session: Session, made_up: Benchmark) -> None:
    assert made_up.joined([session, session]) == made_up


def test_a_session_of_which_nothing_is_left_goes(later: Session) -> None:
    again = Benchmark((later,)).joined([Session("2025-03-03", "c", dirty=False, machine=later.machine, versions={})])
    assert len(again.sessions) == 2
    newest = again.joined([later.__class__("2025-04-04", "c", False, later.machine, {}, (), later.rows, later.limits)])  # noqa: FBT003
    assert [session.date for session in newest.sessions] == ["2025-04-04"]
