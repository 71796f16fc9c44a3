"""Many streams: their file, their neighbours, their signals, and what is seen of them."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.live_peers import Camera, moving_ball
from benchmarks.rtsp_relay import RtspRelay
from support.waiting import until
from vidrestore.config import update
from vidrestore.errors import ConfigError, WorkerError
from vidrestore.live.config import StreamConfig
from vidrestore.live.status import StreamStatus
from vidrestore.runtime.streams import LocalStreamRunner, StreamSpec
from vidrestore.server.logs import show_secret, start_logging
from vidrestore.server.prometheus import metrics_text
from vidrestore.server.service import Service
from vidrestore.server.settings import ServiceConfig, read_settings
from vidrestore.server.web import WebServer, make_app
from vidrestore.server.web_config import WebConfig, random_token

pytestmark = pytest.mark.integration

SECRET = "hunter2"  # noqa: S105
QUICK: dict[str, Any] = {
    "source": {"retry": "always", "silence_seconds": 1.0, "backoff": {"first_seconds": 0.1, "max_seconds": 0.3}},
    "output": {"backoff": {"first_seconds": 0.1, "max_seconds": 0.3}},
}


def a_spec(name: str, address: str, /, *targets: str, **options: Any) -> StreamSpec:
    return StreamSpec(name, address, targets, update(StreamConfig(), QUICK | options))


@contextmanager
def serving(*specs: StreamSpec) -> Iterator[Service]:
    with LocalStreamRunner(specs[0].config.restore, lambda *_: None) as place:
        service = Service(place, specs)
        thread = threading.Thread(target=service.run, daemon=True)
        thread.start()
        yield service
        service.stop()
        thread.join(60)
        assert not thread.is_alive()


def status_of(service: Service, name: str) -> StreamStatus | None:
    return next((status for status in service.statuses() if status.name == name), None)


def out(service: Service, name: str) -> int:
    status = status_of(service, name)
    return status.frames_out if status else 0


def test_garbage_and_a_dead_source_leave_their_neighbours_alone(tmp_path: Path, make_portrait_video: Any) -> None:
    video = str(make_portrait_video(frames=25))
    garbage = tmp_path / "garbage.ts"
    garbage.write_bytes(random.Random(0).randbytes(1 << 20))  # noqa: S311  the same at each run: some look like a video
    loop = {"source": QUICK["source"] | {"loop": True}}
    specs = [
        *(a_spec(name, video, str(tmp_path / f"{name}.mkv"), **loop) for name in ("one", "two")),
        a_spec("garbage", str(garbage), str(tmp_path / "g.mkv")),
        a_spec("dead", "rtsp://127.0.0.1:1/x", str(tmp_path / "d.mkv")),
    ]
    with serving(*specs) as service:
        until(lambda: out(service, "one") > 15 and out(service, "two") > 15, seconds=60)
        for name in ("garbage", "dead"):
            until(lambda name=name: status_of(service, name).source_counts.failures > 1)  # type: ignore[union-attr]
            status = status_of(service, name)
            assert status is not None
            assert status.frames_out == 0
            assert status.problem
        calls, items = service.workers()["detect"]
        assert items >= calls > 10
    assert list(tmp_path.glob("one-*.mkv"))
    assert list(tmp_path.glob("two-*.mkv"))


def test_reloading_touches_only_what_changed(tmp_path: Path, make_portrait_video: Any) -> None:
    video = str(make_portrait_video(frames=25))
    loop = {"source": QUICK["source"] | {"loop": True}, "restore": {"selection": {"max_faces": 1}}}
    kept = a_spec("kept", video, str(tmp_path / "kept.mkv"), **loop)
    gone = a_spec("gone", video, str(tmp_path / "gone.mkv"), **loop)
    new = a_spec("new", video, str(tmp_path / "new.mkv"), **loop)
    with serving(kept, gone) as service:
        until(lambda: out(service, "kept") > 3 and out(service, "gone") > 3, seconds=60)
        service.reload((kept, new))
        until(lambda: out(service, "new") > 3, seconds=60)
        assert status_of(service, "gone") is None
        before = out(service, "kept")
        until(lambda: out(service, "kept") > before)
        assert status_of(service, "kept").source_counts.failures == 0  # type: ignore[union-attr]
    assert len(list(tmp_path.glob("gone-*.mkv"))) == 1, "completed when it ended"
    assert len(list(tmp_path.glob("kept-*.mkv"))) == 1


class FakeStream:
    def __init__(self, problem: Exception | None) -> None:
        self.problem = problem

    def running(self) -> bool:
        return self.problem is None

    def status(self) -> None:
        return None

    def preview(self) -> None:
        return None

    def stop(self) -> None:
        self.problem = self.problem or ConfigError("stopped")

    def join(self, timeout: float) -> bool:
        return timeout >= 0

    def kill(self) -> None:
        return


class FakePlace:
    """Streams whose processes die at once, the first few times."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.begun = 0

    def start(self, _: StreamSpec) -> FakeStream:
        self.begun += 1
        return FakeStream(WorkerError("died") if self.begun <= self.deaths else None)

    def batches(self) -> dict[str, tuple[int, int]]:
        return {}


def test_a_stream_whose_process_dies_is_begun_again() -> None:
    place = FakePlace(deaths=2)
    service = Service(place, (a_spec("x", "rtsp://h/x", "y.mkv"),))  # type: ignore[arg-type]
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    until(lambda: place.begun == 3)
    assert service.restarts("x") == 2
    service.stop()
    thread.join(10)


SETTINGS = """
runtime = "local"
[web]
listen = "127.0.0.1:0"
[defaults]
mode = "complete"
sink.encode.crf = 20
[streams.porch]
source = "rtsp://admin:${PORCH_PASSWORD}@10.0.0.7/live"
to = ["rtsp://server/porch", "rec/porch.mp4"]
restore.lag = 3
[streams.yard]
source = "udp://@:5000"
to = "wall/"
mode = "realtime"
"""


def test_a_file_of_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCH_PASSWORD", SECRET)
    path = tmp_path / "streams.toml"
    path.write_text(SETTINGS)
    found = read_settings(path)
    porch, yard = found.streams
    assert porch.source == f"rtsp://admin:{SECRET}@10.0.0.7/live"
    assert SECRET not in repr(found)
    assert porch.targets == ("rtsp://server/porch", str(Path("rec/porch.mp4").absolute()))
    assert (porch.config.restore.lag, porch.config.mode, porch.config.sink.encode.crf) == (3, "complete", 20)
    assert (yard.config.restore.lag, yard.config.mode, yard.targets) == (
        0,
        "realtime",
        (f"{Path('wall').absolute()}/",),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no stream"),
        ("[streams.a]\nsource = 'udp://@:1'", "needs source"),
        ("[streams.a]\nto = 'x.mkv'", "needs source"),
        ("[streams.a]\nsource = 'udp://@:1'\nto = 'x.avi'", "streams.a: destination"),
        ("[streams.a]\nsource = 'udp://@:1'\nto = 'x.mkv'\nmoed = 'complete'", "did you mean 'mode'"),
        ("[streams.'a b']\nsource = 'udp://@:1'\nto = 'x.mkv'", "letters, digits"),
        ("[streams.a]\nsource = 'rtsp://u:${NOT_THERE_AT_ALL}@h'\nto = 'x.mkv'", "NOT_THERE_AT_ALL, which is not set"),
        ("streams = 3", "wanted a table"),
        ("[streams.a\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "streams.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_settings(path)


def test_streams_that_want_different_networks_are_refused() -> None:
    specs = tuple(
        a_spec(name, "udp://@:1", "x.mkv", restore={"restorer": {"model": name}}) for name in ("embedded", "other.pth")
    )
    with pytest.raises(ConfigError, match="share one set of face workers"):
        ServiceConfig(streams=specs)


def test_only_this_machine_may_look_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDRESTORE_TOKEN", raising=False)
    assert WebConfig("127.0.0.1:80").endpoint() == ("127.0.0.1", 80)
    with pytest.raises(ConfigError, match="VIDRESTORE_TOKEN"):
        WebConfig("0.0.0.0:80").endpoint()
    with pytest.raises(ConfigError, match="is 'none'"):
        WebConfig("0.0.0.0:80", token="none").endpoint()  # noqa: S106
    monkeypatch.setenv("VIDRESTORE_TOKEN", "x")
    assert WebConfig("0.0.0.0:80").endpoint() == ("0.0.0.0", 80)  # noqa: S104
    with pytest.raises(ConfigError, match="HOST:PORT"):
        WebConfig("8080").endpoint()


def test_tokens_of_ones_own_are_long_enough_and_travel_in_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    web = WebConfig("127.0.0.1:80")
    for bad in ("x", "fifteen-letters", "a token with blanks", "a;token;with;semicolons", "x" * 300, "ä" * 20):
        monkeypatch.setenv("VIDRESTORE_TOKEN", bad)
        with pytest.raises(ConfigError, match="openssl rand -hex 16") as told:
            web.check()
        assert bad == "x" or bad not in told.value.message
    monkeypatch.setenv("VIDRESTORE_TOKEN", "sixteen-letters-")
    assert web.own_token() == "sixteen-letters-"
    with pytest.raises(ConfigError, match="unset the one"):
        WebConfig("127.0.0.1:80", token="none").check()  # noqa: S106
    monkeypatch.delenv("VIDRESTORE_TOKEN")
    assert web.own_token() is None
    assert len({random_token() for _ in range(100)}) == 100
    assert len(random_token()) >= 32


def test_names_of_the_page() -> None:
    assert WebConfig("127.0.0.1:80", hosts=("Video.Example",)).names() == {"localhost", "127.0.0.1", "video.example"}
    assert WebConfig("127.0.0.1:80").names() <= WebConfig("127.0.0.1:80", hosts=("a",)).names()
    for bad in ("http://a", "a:80", "a/b", "", "*", "a b"):
        with pytest.raises(ConfigError, match="without port"):
            WebConfig(hosts=(bad,))
    with pytest.raises(ConfigError, match="2 to 10000"):
        WebConfig(connections=0)


def test_a_secret_goes_to_a_terminal_or_a_pipe_and_to_no_file_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode, style, shown in (
        (0o600, "text", True),
        (0o644, "text", False),
        (0o640, "text", False),
        (0o600, "json", False),
    ):
        with (tmp_path / "log").open("w+") as log:
            (tmp_path / "log").chmod(mode)
            monkeypatch.setattr(sys, "stderr", log)
            start_logging(style)  # type: ignore[arg-type]
            assert show_secret(f"open ?token={SECRET}") == shown
            log.seek(0)
            assert (SECRET in log.read()) == shown


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, make_portrait_video: Any) -> Iterator[tuple[Service, Path]]:
    """One stream of a film that loops, under way."""
    folder = tmp_path_factory.mktemp("watched")
    spec = a_spec(
        "hall",
        str(make_portrait_video(frames=50)),
        str(folder / "hall.mkv"),
        source=QUICK["source"] | {"loop": True},
    )
    with serving(spec) as service:
        until(lambda: out(service, "hall") > 10, seconds=60)
        yield service, folder


def fetch(url: str, **headers: str) -> tuple[int, bytes, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_metrics_are_what_prometheus_reads(watched: tuple[Service, Path]) -> None:
    service, _ = watched
    families = {family.name: family for family in text_string_to_metric_families(metrics_text(service).decode())}
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }
    status = status_of(service, "hall")
    assert status is not None
    label = (("stream", "hall"),)
    assert 0 < samples["vidrestore_frames_in_total", label] <= status.frames_in + 100
    assert samples["vidrestore_up", label] == 1
    for reason in ("late", "outdated", "overflow"):
        assert ("vidrestore_frames_dropped_total", (("reason", reason), ("stream", "hall"))) in samples
    buckets = [s for s in families["vidrestore_latency_seconds"].samples if s.name.endswith("_bucket")]
    assert [bucket.value for bucket in buckets] == sorted(bucket.value for bucket in buckets)
    stages = {sample.labels["stage"] for sample in families["vidrestore_stage_seconds"].samples}
    assert {"detect", "restore", "stabilize", "composite", "encode"} <= stages
    assert samples["vidrestore_worker_items_total", (("work", "restore"),)] > 0
    assert {"vidrestore_source_sessions", "vidrestore_queue_depth", "vidrestore_output_bytes"} <= set(families)


def test_names_in_metrics_are_harmless_labels(watched: tuple[Service, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = watched
    (status,) = service.statuses()
    name = 'a"b\\\n\x1b]0;x\x07\r\u202e\udcff'
    outputs = {name: next(iter(status.outputs.values()))}
    monkeypatch.setattr(service, "statuses", lambda: [replace(status, name=name, outputs=outputs)])
    text = metrics_text(service).decode()
    labels = {
        (name, value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for name, value in sample.labels.items()
    }
    shown = 'a"b\\' + r"\n\x1b]0;x\x07\r\u202e\udcff"
    assert {("stream", shown), ("output", shown)} <= labels
    assert not {"\x1b", "\r", "\u202e"} & set(text)


def test_the_page_its_data_and_the_pictures_are_served(watched: tuple[Service, Path]) -> None:
    service, _ = watched
    with WebServer(make_app(service), "127.0.0.1", 0) as server:
        root = f"http://127.0.0.1:{server.port}"
        code, page, headers = fetch(f"{root}/")
        assert code == 200
        assert b"<canvas" in page
        assert "default-src 'none'" in headers["content-security-policy"]
        (told,) = json.loads(fetch(f"{root}/api/streams")[1])
        assert (told["name"], told["state"]) == ("hall", "live")
        assert told["history"]
        assert fetch(f"{root}/preview/hall.jpg")[1].startswith(b"\xff\xd8")
        assert fetch(f"{root}/preview/nobody.jpg")[0] == 404
        assert json.loads(fetch(f"{root}/health")[1]) == {"healthy": True, "streams": 1, "live": 1}
        assert fetch(f"{root}/metrics")[1].startswith(b"# HELP")


def test_a_token_is_asked_for_and_kept_out_of_sight(watched: tuple[Service, Path]) -> None:
    service, _ = watched
    with WebServer(make_app(service, token=SECRET), "127.0.0.1", 0) as server:
        root = f"http://127.0.0.1:{server.port}"
        for path in ("/", "/api/streams", "/metrics", "/preview/hall.jpg"):
            assert fetch(root + path)[0] == 401
            assert fetch(root + path, Authorization="Bearer wrong")[0] == 401
            assert fetch(root + path, Authorization=f"Bearer {SECRET}")[0] == 200
        assert fetch(f"{root}/health")[0] == 200
        assert fetch(f"{root}/api/streams?token={SECRET}")[0] == 401
        jar = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with jar.open(f"{root}/?token={SECRET}") as answer:
            assert answer.url == f"{root}/", "the token leaves the address bar"
        with jar.open(f"{root}/api/streams") as answer:
            assert answer.status == 200


def chromium() -> str:
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        for folder in os.environ["PATH"].split(":"):
            if (Path(folder) / name).exists():
                return name
    pytest.skip("no Chromium on this machine")


def test_the_page_works_in_a_browser(watched: tuple[Service, Path], tmp_path: Path) -> None:
    service, _ = watched
    browser = chromium()
    with WebServer(make_app(service, token=SECRET), "127.0.0.1", 0) as server:
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
             "--virtual-time-budget=4000", "--dump-dom", f"http://127.0.0.1:{server.port}/?token={SECRET}"],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
    assert 'data-stream="hall"' in shown
    assert '<span class="state live">live</span>' in shown
    assert "1 streams, 1 live" in shown
    assert "data-pictures=" in shown, "at least one picture was drawn"
    assert 'class="p95" d="M' in shown, "the latency is plotted"
    assert '<span id="lost"></span>' in shown, "the page never missed an answer"


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from vidrestore.cli import main; main()", "stream", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def test_the_command_restores_reloads_and_drains(tmp_path: Path, make_portrait_video: Any) -> None:
    """Real networks, a real process, real signals; and no password anywhere."""
    video = make_portrait_video(frames=50)
    one = f"[defaults]\nsource.loop = true\n[streams.one]\nsource = '{video}'\nto = '{tmp_path / 'one.mkv'}'\n"
    dead = f"[streams.dead]\nsource = 'rtsp://u:{SECRET}@127.0.0.1:1/x'\nto = '{tmp_path / 'dead.mkv'}'\n"
    config, report = tmp_path / "streams.toml", tmp_path / "report.json"
    config.write_text(one)
    process = start("--config", config, "--log", "json", "--report", report)
    lines: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)  # type: ignore[arg-type]
    reader.start()
    until(lambda: any("is open" in line for line in lines), seconds=120)
    config.write_text(one + dead)
    process.send_signal(signal.SIGHUP)
    until(lambda: any("1 begun, 1 left alone" in line for line in lines))
    until(lambda: any("trying again" in line for line in lines))
    config.write_text("[streams.one")
    process.send_signal(signal.SIGHUP)
    until(lambda: any("not reloaded" in line for line in lines))
    until(lambda: any(path.stat().st_size for path in tmp_path.glob(".one-*")))
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    reader.join(10)
    assert process.stdout is not None
    with process.stdout, process.stderr:
        out = process.stdout.read()  # not communicate(): it would take some of the lines from the thread
    assert code == 0, lines
    assert SECRET not in out + "".join(lines) + report.read_text()
    assert all(json.loads(line)["time"] for line in lines)
    assert len(list(tmp_path.glob("one-*.mkv"))) == 1, "completed"
    assert not list(tmp_path.glob(".*"))
    told = json.loads(report.read_text())["streams"]
    restored = next(stream for stream in told if stream["name"] == "one")
    assert restored["faces"] > 0
    assert restored["frames_in"] == restored["frames_out"] + sum(restored["dropped"].values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rtsp://u:hunter2@127.0.0.1:1/x", "x.mkv", "--retry", "never"), "refuses connections"),
        (("x.mkv",), "needs SRC and DST"),
        (("ftp://u:hunter2@h/x", "x.mkv"), "ftp:// is not read"),
        (("udp://@:1", "x.mkv", "--lag", "9"), "lag"),
        (("udp://@:1", "x.mkv", "--web", "0.0.0.0:1"), "VIDRESTORE_TOKEN"),
        (("udp://@:1", "x.mkv", "--web", "0.0.0.0:1", "--no-web-token"), "VIDRESTORE_TOKEN"),
        (("udp://@:1", "x.mkv", "--web", "127.0.0.1:0", "--web-host", "a:80"), "without port"),
        (("udp://@:1", "x.mkv", "--mode", "fast"), "mode"),
        (("udp://@:1", "x.mkv", "--log", "xml"), "--log"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, printed, told = run("stream", *[str(tmp_path / part) if part == "x.mkv" else part for part in arguments])
    assert code
    assert says in told
    assert SECRET not in printed + told


def has_batched(service: Service) -> bool:
    calls, items = service.workers()["restore"]
    return items > calls


def test_four_streams_share_batches(make_portrait_video: Any, tmp_path: Path) -> None:
    """With one crop in each, a common worker takes several in one call."""
    video = str(make_portrait_video(frames=50))
    specs = [
        a_spec(
            f"s{n}",
            video,
            str(tmp_path / f"s{n}.mkv"),
            source=QUICK["source"] | {"loop": True},
            restore={"restorer": {"batch_size_cpu": 4}},
        )
        for n in range(4)
    ]
    with serving(*specs) as service:
        until(lambda: all(out(service, spec.name) > 5 for spec in specs), seconds=90)
        before = [out(service, spec.name) for spec in specs]  # they did not begin at once
        shown = lambda: [out(service, spec.name) - first for spec, first in zip(specs, before, strict=True)]  # noqa: E731
        # a stream that gives up less restores more faces, and shows fewer pictures for a while
        until(lambda: min(shown()) >= 30, seconds=180)
        shares = shown()
        until(lambda: has_batched(service), seconds=90)
    assert max(shares) < 4 * min(shares) + 10, "none starves"


def test_rtsp_to_rtsp_with_the_embedded_network(tmp_path: Path) -> None:
    """The whole way once more, with everything real, but for the camera."""
    with (
        RtspRelay() as relay,
        Camera(relay.url("in"), moving_ball, rate=10),
        serving(a_spec("x", relay.url("in"), relay.url("out"), str(tmp_path / "x.mp4"))) as service,
    ):
        until(lambda: out(service, "x") > 20, seconds=60)
        assert relay.published("out")
    assert len(list(tmp_path.glob("x-*.mp4"))) == 1
