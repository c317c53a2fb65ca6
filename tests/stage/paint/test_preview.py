"""Tests of previews of pairs in work, through the whole stage."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.disk import Disk
from pipeline.errors import ExitCode, Interrupted
from pipeline.images.colour.luma_chroma import rgb_to_yuv
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.paint import interval as interval_module
from pipeline.stage.paint import preview as preview_module
from pipeline.stage.paint.preview import Preview
from pipeline.stage.resources import Limits
from pipeline.stage.stage import Stage
from pipeline.stage.task import Task
from pipeline.transfer.weights import find_weights
from tests.conftest import pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.vgg import Vgg19

OFTEN = 1e-9


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each preview be due at once, however long writing the previous one took."""
    monkeypatch.setattr(interval_module, "LARGEST_SHARE", 1e9)


class Looking:
    """A listener that keeps the preview that exists at each evaluation: the one after the evaluation before."""

    def __init__(self, outbox: Outbox, stop_at: int = 0) -> None:
        self._outbox, self._stop_at = outbox, stop_at
        self.seen: dict[int, bytes] = {}

    def pair_started(self, pair: Pair) -> None:
        pass

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        path = self._outbox.previews.path(pair.name)
        if path.exists():
            self.seen[evaluation.number] = path.read_bytes()
        if evaluation.number == self._stop_at:
            raise Interrupted(ExitCode.INTERRUPTED)


@pytest.fixture
def render(
    outbox: Outbox, network: Vgg19, make_image: Callable[..., Path]
) -> Callable[..., tuple[Metadata | Failure, dict[int, np.ndarray[Any, Any]]]]:
    def make(
        seconds: float = OFTEN, stop_at: int = 0, **sections: Any
    ) -> tuple[Metadata | Failure, dict[int, np.ndarray[Any, Any]]]:
        content = make_image("a.png", width=120, height=100, seed=1)
        style = make_image("b.png", width=50, seed=2)
        settings = PairSettings(**{"image": {"size": 96}, "pyramid": {"evaluations": (3, 6), "floor": 0}} | sections)
        pair = Pair(content, (style,), content.name, style.name, "sea/a", settings)
        looking = Looking(outbox, stop_at)
        stage = Stage(
            network=network,
            weights=find_weights("packaged"),
            device=torch.device("cpu"),
            precision=torch.float32,
            outbox=outbox,
            listener=looking,
            limits=Limits(preview_seconds=seconds),
        )
        with outbox.locked():
            (outcome,) = stage.process([Task(pair, 1, None)])
        return outcome.record, {
            number: cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)
            for number, data in looking.seen.items()
        }

    return make


def test_a_pair_is_seen_to_grow_and_the_preview_goes_with_its_end(outbox: Outbox, render: Callable[..., Any]) -> None:
    record, seen = render()
    assert record.status == "done"
    assert list(seen) == [2, 3, 4, 5, 6, 7, 8, 9], "there is a preview after each evaluation"
    assert {image.shape for image in seen.values()} == {(80, 96, 3)}, "previews have one size at every scale"
    result = pixels(outbox.picture_path("sea/a.png"))
    far = [np.abs(image.astype(float) - result).mean() for image in seen.values()]
    assert far[0] > 2 * far[-1]
    assert not (outbox.root / ".impasto/preview").exists()


def test_nothing_is_shown_unless_somebody_asks(render: Callable[..., Any]) -> None:
    record, seen = render(seconds=0.0)
    assert (record.status, seen) == ("done", {})


def test_it_changes_nothing_in_the_result(outbox: Outbox, render: Callable[..., Any]) -> None:
    for mode in ("regions", "luminance"):
        results = []
        for seconds in (0.0, OFTEN):
            render(seconds=seconds, colour={"mode": mode})
            results.append(outbox.picture_path("sea/a.png").read_bytes())
        assert results[0] == results[1]


def test_it_has_the_colours_that_the_result_will_have(outbox: Outbox, render: Callable[..., Any]) -> None:
    def chroma(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return rgb_to_yuv(image.astype(np.float32))[..., 1:]

    _, seen = render(colour={"mode": "luminance"})
    of_result = chroma(pixels(outbox.picture_path("sea/a.png")))
    far = [np.abs(chroma(image) - of_result).mean() for image in seen.values()]
    assert max(far) < 2, "the preview differs from the result by JPEG compression only"
    _, plain = render(colour={"mode": "none"})
    assert np.abs(chroma(plain[9]) - of_result).mean() > 2 * max(far)


def test_of_an_enlarged_result_the_working_size_is_seen(outbox: Outbox, render: Callable[..., Any]) -> None:
    _, seen = render(image={"size": 96, "upscale": "guided"}, colour={"mode": "luminance"})
    assert {image.shape for image in seen.values()} == {(80, 96, 3)}
    assert pixels(outbox.picture_path("sea/a.png")).shape == (100, 120, 3)


def test_who_presses_ctrl_c_finds_none(outbox: Outbox, render: Callable[..., Any]) -> None:
    with pytest.raises(Interrupted):
        render(stop_at=4)
    assert not (outbox.root / ".impasto/preview").exists()


def test_a_disk_that_takes_none_stops_no_pair(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, render: Callable[..., Any]
) -> None:
    real = Disk.rename

    def fail(disk: Disk, source: Path, target: Path) -> None:
        if target.suffix == ".jpg" and "preview" in target.parts:
            raise OSError(28, "No space left on device", str(target))
        real(disk, source, target)

    monkeypatch.setattr(Disk, "rename", fail)
    record, seen = render()
    assert (record.status, seen) == ("done", {})
    (message,) = [message for message in caplog.messages if "preview" in message]
    assert message.startswith("no preview of sea/a can be made: ")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")])
def test_a_memory_that_has_no_room_for_one_stops_no_pair(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, render: Callable[..., Any]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(preview_module, "finished_so_far", fail)
    record, seen = render()
    assert (record.status, record.fit, seen) == ("done", "whole", {})
    assert [message.startswith("no preview of sea/a can be made") for message in caplog.messages] == [True]


def test_a_defect_is_not_taken_for_want_of_room(monkeypatch: pytest.MonkeyPatch, render: Callable[..., Any]) -> None:
    monkeypatch.setattr(preview_module, "finished_so_far", lambda *_: 1 / 0)
    record, _ = render()
    assert record.reason == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("good", [True, False])
def test_that_of_a_killed_process_goes_as_the_pair_ends_also_where_nobody_asks_for_one(
    outbox: Outbox, render: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, *, good: bool
) -> None:
    monkeypatch.setattr(outbox.previews, "remove_of", lambda _: None)  # as if other processes had made them
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    for name in ("sea/a", "sea/b"):  # sea/b is a pair that another process has in work
        outbox.previews.write(name, jpeg)
    record, _ = render(seconds=0.0, **({} if good else {"image": {"size": 16, "max_pixels": 256}}))
    if not good:
        with outbox.locked():
            outbox.publish_failure("sea/a", record)  # the caller of the stage publishes failures
    assert record.status == ("done" if good else "failed")
    assert [path.name for path in (outbox.root / ".impasto/preview").rglob("*.jpg")] == ["b.jpg"]


def test_one_that_cannot_be_removed_is_told_and_the_result_counts(
    outbox: Outbox, render: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(outbox.previews, "remove_of", lambda _: None)
    outbox.previews.write("sea/a", cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    monkeypatch.setattr(outbox.previews, "remove", fail)
    record, _ = render(seconds=0.0)
    assert record.status == "done"
    assert [message for message in caplog.messages if "preview" in message] == [
        "the preview of sea/a cannot be removed: [Errno 13] Permission denied"
    ]


def test_it_is_written_every_so_often_and_seldom_where_that_takes_long(
    monkeypatch: pytest.MonkeyPatch, make_image: Callable[..., Path]
) -> None:
    monkeypatch.setattr(interval_module, "LARGEST_SHARE", 0.1)
    monkeypatch.setattr(preview_module, "finished_so_far", lambda *_: np.zeros((32, 32, 3), np.float32))
    now, took, written = [0.0], [0.0], []

    class Files:
        def write(self, name: str, jpeg: bytes) -> None:
            assert jpeg[:2] == b"\xff\xd8"
            written.append((name, now[0]))
            now[0] += took[0]

    class Fake:
        loaded = None

        class task:  # noqa: N801
            class pair:  # noqa: N801
                name = "a"
                settings = PairSettings()

    preview = Preview(Files(), 10.0, Fake, clock=lambda: now[0])  # type: ignore[arg-type]
    for second in itertools.count():
        now[0] = max(now[0], float(second))
        took[0] = 3.0 if second >= 20 else 0.0
        preview.write_if_due(lambda: torch.zeros(1, 3, 32, 32))
        if second == 60:
            break
    assert written == [("a", 10.0), ("a", 20.0), ("a", 53.0)], (
        "writing takes 3 s, so the next preview is due after 30 s"
    )
