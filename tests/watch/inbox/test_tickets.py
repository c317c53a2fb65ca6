"""Tests of tickets: manifests in the inbox that wait for their files."""

from __future__ import annotations

import errno
import os
import unicodedata
from typing import TYPE_CHECKING, Literal

import pytest

from pipeline.errors import UnreadableError
from pipeline.outbox.metadata import JobFailure
from pipeline.watch.inbox import tickets
from pipeline.watch.inbox.stability import StabilityTracker
from pipeline.watch.spool.records import FileFacts
from tests.faults.disk import FaultyDisk
from tests.faults.world import World, photo
from tests.watch.inbox.conftest import work

if TYPE_CHECKING:
    from tests.faults.disk import Operation

Form = Literal["NFC", "NFD"]


def reason(world: World) -> JobFailure:
    """Return the record of the only failed job."""
    (path,) = (world.inbox / ".impasto/failed").glob("*/reason.json")
    return JobFailure.model_validate_json(path.read_bytes())


def ticket(world: World, text: str = "content,style\nb.png,sea\nc.png,sea\n", name: str = "job.csv") -> None:
    """Drop a ticket."""
    world.drop(name, text.encode())


def test_a_ticket_waits_for_its_files_which_are_not_taken_as_photographs(world: World) -> None:
    world.settings["styles"] = {"default": "sea"}
    world.drop("sub/c.png")
    ticket(world, "content,style,output\nb.png,sea,one\nsub/c.png,sea,two\n")
    worker = work(world)
    assert worker.watcher.status_file.status()["waiting_tickets"] == {"job.csv": ["b.png"]}
    assert world.spooled("work") == {"job.csv"}
    world.drop("b.png", photo("b")[:-4])
    worker.work(1)
    with (world.inbox / "b.png").open("ab") as file:
        file.write(photo("b")[-4:])
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"one.png", "two.png"}
    assert worker.stage.premature == 0


def test_files_that_were_there_before_their_ticket_wait_for_it_once_it_is_known(world: World) -> None:
    """Test also that other photographs beside the ticket are rendered meanwhile."""
    world.settings["styles"] = {"default": "sea"}
    for name in ("b.png", "c.png", "other.png"):
        world.drop(name)
    ticket(world)
    work(world).end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png", "other__sea.png"}
    (folder,) = (world.inbox / ".impasto/done").glob("*/*/in/job.csv")
    assert {path.name for path in folder.parent.iterdir()} == {"job.csv", "b.png", "c.png"}


@pytest.mark.parametrize(
    ("style", "file"),
    [("sky", "styles/sky.png"), ("sky", "inbox/sky/_style.jpg"), ("painting.png", "inbox/painting.png")],
)
def test_a_ticket_waits_for_its_style(world: World, style: str, file: str) -> None:
    world.drop("b.png")
    ticket(world, f"content,style\nb.png,{style}\n")
    worker = work(world)
    assert worker.outcomes == []
    path = world.root / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(photo("the sky"))
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 1


@pytest.mark.parametrize(("rows", "words"), [("b.png,sea\nc.png,sea\n", "c.png"), ("b.png,sky\n", "the style sky")])
def test_a_ticket_that_waits_in_vain_fails_alone(world: World, rows: str, words: str) -> None:
    world.drop("b.png")
    ticket(world, f"content,style\n{rows}")
    worker = work(world, 99)
    assert world.spooled("failed") == set()
    worker.work(20)
    worker.end()
    assert world.spooled("failed") == {"job.csv"}
    assert world.waiting() == {"b.png"}
    assert f"waited 100 s, but these did not arrive: {words}" in reason(world).reason
    assert "Put the missing files" in reason(world).remedy


def test_a_ticket_that_failed_may_be_dropped_again(world: World) -> None:
    ticket(world)
    worker = work(world, 110)
    assert world.spooled("failed") == {"job.csv"}
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("job.csv", "content,style\n/etc/a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\n../a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\nx/../../a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\nb.png,../../a.jpg\n", "outside of the inbox"),
        ("job.csv", "content,style\n.hidden/a.jpg,sea\n", "is hidden"),
        ("job.csv", "content,style\n.impasto/a.jpg,sea\n", "is hidden"),
        ("job.csv", "content,style\n*.txt,sea\n", "named one by one"),
        ("job.csv", "content,style\nfolder,sea\n", "named one by one"),
        ("job.csv", "content,style\nnotes.txt,sea\n", "is no picture"),
        ("job.csv", "content,style,image.size\nb.png,sea,-1\n", "image.size"),
        ("job.csv", "content\nb.png\n", "no column 'style'"),
        ("job.csv", "content,style\n", "lists no pairs"),
        ("job.csv", "content,style\nb.png\0,sea\n", "NUL"),
        ("job.jsonl", "[" * 100_000, "not JSON"),
        ("job.jsonl", '{"content": ' + "1" * 5000 + ', "style": "sea"}', "not JSON"),
        ("job.ndjson", '{"content": "b.png"}', "no style"),
        ("job.jsonl", "[]", "not a JSON object"),
        ("job.jsonl", '{"content": ["b.png"], "style": "sea"}', "should be text"),
    ],
)  # fmt: skip
def test_an_invalid_ticket_fails_and_says_why(world: World, name: str, text: str, words: str) -> None:
    world.drop("sea/a.jpg")
    ticket(world, text, name)
    worker = work(world)
    worker.end()
    assert world.spooled("failed") == {name}
    assert words in reason(world).reason
    assert reason(world).error_class == "input"
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_ticket_that_names_what_cannot_come_only_times_out(world: World) -> None:
    ticket(world, '{"content": "\\ud800.jpg", "style": "sea"}', "job.jsonl")
    work(world, 110).end()
    assert world.spooled("failed") == {"job.jsonl"}
    assert "waited 100 s, but these did not arrive" in reason(world).reason


def test_a_ticket_that_cannot_be_read_for_a_moment_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")

    def read(*_: object) -> None:
        raise UnreadableError("job.csv: cannot be read: Input/output error.")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.watch.jobs.job_pairs.requirements_of_ticket", read)
        worker = work(world, 20)
    assert world.spooled("work") == {"job.csv"}
    assert len([message for message in caplog.messages if "job.csv: cannot be read" in message]) == 1
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 2


def test_two_unicode_forms_of_a_name_are_two_files_of_which_one_may_go(world: World) -> None:
    names = [unicodedata.normalize(form, "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png") for form in ("NFC", "NFD")]
    tracker = StabilityTracker(2.0)
    facts = FileFacts(1, 1, 1, 1, 1)
    for name in names:
        tracker.see(name, facts, 0.0)
    tracker.forget(names[0])
    assert tracker.spelled(names[0]) == names[1]


@pytest.mark.parametrize("dies", [True, False])
def test_a_ticket_that_was_interrupted_half_way_is_finished_by_the_next_process(world: World, *, dies: bool) -> None:
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")

    def fault(operation: Operation) -> OSError | None:
        return OSError(errno.EBUSY, "Device busy") if operation.path == world.inbox / "c.png" else None

    worker = world.worker(FaultyDisk(lambda operation, _: fault(operation)))
    worker.start()
    worker.work(12)
    assert world.spooled("work") == {"job.csv", "b.png"}
    if dies:
        worker.die()
    else:
        worker.end()
        assert world.waiting() == {"job.csv", "b.png", "c.png"}
    work(world).end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}
    assert world.spooled("done") == {"job.csv", "b.png", "c.png"}


def test_two_tickets_may_not_share_a_file_and_the_second_waits_for_another(world: World) -> None:
    for name in ("one.csv", "two.csv"):
        ticket(world, "content,style\nb.png,sea\n", name)
    world.drop("b.png", photo("first"))
    worker = work(world)
    assert len(world.results()) == 1
    world.drop("b.png", photo("second"))
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 2
    assert world.spooled("done") == {"one.csv", "two.csv", "b.png"}


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_ticket_that_is_no_file_fails_without_being_read(world: World, kind: str) -> None:
    """Adopt what a process left that ended between a claim and the check of what it had claimed."""
    secret = world.root / "secret.csv"
    secret.write_bytes(b"password,of,somebody\n")
    one = world.worker().start()
    world.drop("job.csv", b"content,style\n")
    path = one.spool.claim("job.csv").path("job.csv")
    path.unlink()
    if kind == "link":
        path.symlink_to(secret)
    else:
        os.mkfifo(path)
    one.die()
    worker = work(world, 20)
    assert reason(world).reason == "job.csv: is no regular file."
    worker.end()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("order", ["ticket first", "files first"])
def test_a_ticket_finds_its_files_in_any_unicode_form_and_with_backslashes(
    world: World, form: Form, order: str
) -> None:
    world.settings["styles"] = {"default": "sea"}
    name = unicodedata.normalize(form, "höhe/müller.png")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "höhe\\müller.png")
    if order == "files first":
        world.drop(name)
    ticket(world, f"content,style,output\n{other},sea,one\n")
    worker = work(world)
    if order == "ticket first":
        world.drop(name)
        worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"one.png"}
    assert world.spooled("done") == {"job.csv", name}


@pytest.mark.parametrize("drain", [True, False])
def test_the_files_of_a_large_ticket_are_claimed_a_part_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch, *, drain: bool
) -> None:
    monkeypatch.setattr(tickets, "FILES_PER_ROUND", 3)
    for number in range(10):
        world.drop(f"{number}.png")
    ticket(world, "\n".join(["content,style", *(f"{number}.png,sea" for number in range(10))]))
    world.drop("sea/a.jpg")
    worker = world.worker(drain=drain).start()
    counts = []
    for _ in range(9):
        worker.step(1.0)
        counts.append(len(world.spooled("work") & {f"{number}.png" for number in range(10)}))
        if counts[-1] and counts[-1] < 9:
            assert not worker.watcher.is_drained()
            assert worker.scanner.seconds_until_next() == 0
    assert [count for count in counts if count] == [3, 6, 9]
    if drain:
        assert worker.watcher.is_drained()
    worker.end()
    assert len(world.check_settled()) == 11


def test_a_ticket_whose_files_are_being_claimed_does_not_fail_for_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "FILES_PER_ROUND", 1)
    ticket(world)
    worker = work(world, 99)
    world.drop("b.png")
    world.drop("c.png")
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}
