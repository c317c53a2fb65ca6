"""Tests of the decisions about files and jobs in the inbox."""

from __future__ import annotations

from itertools import product

import pytest

from pipeline.watch.inbox.decisions import FileAction, FileView, decide_file
from pipeline.watch.inbox.names import Candidate
from pipeline.watch.jobs.decisions import JobAction, PairStatus, decide_job

TICKET, PHOTO, STYLE, UNKNOWN = (
    Candidate("ticket"), Candidate("photo", "sea"), Candidate("style", "sea"), Candidate("unknown"),
)  # fmt: skip
TO_DO, BLOCKED, DONE, DUPLICATE, FAILED = PairStatus


@pytest.mark.parametrize(
    ("view", "action", "words"),
    [
        (FileView(TICKET), FileAction.CLAIM, ""),
        (FileView(TICKET, is_empty=True), FileAction.LEAVE, "is empty"),
        (FileView(TICKET, is_empty=True, style="sea", style_is_known=True), FileAction.LEAVE, "is empty"),
        (FileView(PHOTO, style="sea", style_is_known=True), FileAction.CLAIM, ""),
        (FileView(PHOTO, style="sea", style_is_known=True, is_empty=True), FileAction.LEAVE, "is empty"),
        (FileView(PHOTO, style="sea"), FileAction.LEAVE, "'sea', which is not in styles.folder"),
        (FileView(PHOTO, style="sea"), FileAction.LEAVE, "drop a painting as sea/_style.jpg"),
        (FileView(PHOTO, style="sea", is_empty=True), FileAction.LEAVE, "is empty"),
        (FileView(PHOTO, style="s\n\udcff"), FileAction.LEAVE, "'s\ufffd\ufffd', which is not"),
        (FileView(PHOTO, style="s\n\udcff"), FileAction.LEAVE, "as s\ufffd\ufffd/_style.jpg"),
        (FileView(Candidate("photo")), FileAction.LEAVE, "asks for no style"),
        (FileView(Candidate("photo")), FileAction.LEAVE, "styles.default"),
        (FileView(Candidate("photo"), is_empty=True), FileAction.LEAVE, "is empty"),
        (FileView(Candidate("photo"), style="default", style_is_known=True), FileAction.CLAIM, ""),
        (FileView(Candidate("photo"), style="default"), FileAction.LEAVE, "'default', which is not"),
        (FileView(STYLE), FileAction.USE_AS_STYLE, ""),
        (FileView(STYLE, style="sea"), FileAction.USE_AS_STYLE, ""),
        (FileView(STYLE, style="sea", style_is_known=True), FileAction.USE_AS_STYLE, ""),
        (FileView(STYLE, is_empty=True), FileAction.LEAVE, "is empty"),
        (FileView(UNKNOWN), FileAction.LEAVE, "no picture of image.formats"),
        (FileView(UNKNOWN, is_empty=True), FileAction.LEAVE, "no picture of image.formats"),
        (FileView(UNKNOWN, style="sea", style_is_known=True), FileAction.LEAVE, "no picture of image.formats"),
    ],
)
def test_what_to_do_with_a_file_and_why(view: FileView, action: FileAction, words: str) -> None:
    decided, reason = decide_file(view)
    assert decided is action
    assert words in reason
    assert bool(reason) is (action is FileAction.LEAVE)
    assert reason.isprintable()


@pytest.mark.parametrize("candidate", [TICKET, PHOTO, STYLE, UNKNOWN, Candidate("photo")])
@pytest.mark.parametrize(("is_empty", "style_is_known"), list(product([False, True], repeat=2)))
def test_a_file_that_a_ticket_waits_for_is_left_to_it(
    candidate: Candidate, *, is_empty: bool, style_is_known: bool
) -> None:
    view = FileView(candidate, is_empty, style_is_known, candidate.style or "", awaited=True)
    assert decide_file(view) == (FileAction.WAIT, "")


@pytest.mark.parametrize(
    ("pairs", "action"),
    [
        ([], JobAction.RETIRE),
        ([DONE], JobAction.RETIRE),
        ([DUPLICATE], JobAction.RETIRE),
        ([DONE, DUPLICATE], JobAction.RETIRE),
        ([FAILED], JobAction.QUARANTINE),
        ([DONE, FAILED, DUPLICATE], JobAction.QUARANTINE),
        ([BLOCKED], JobAction.WAIT),
        ([DONE, BLOCKED], JobAction.WAIT),
        ([FAILED, BLOCKED], JobAction.WAIT),
        ([TO_DO], JobAction.RENDER),
        ([DONE, TO_DO], JobAction.RENDER),
        ([FAILED, TO_DO], JobAction.RENDER),
        ([BLOCKED, TO_DO], JobAction.RENDER),
        ([TO_DO, BLOCKED, DONE, DUPLICATE, FAILED], JobAction.RENDER),
    ],
)
def test_what_to_do_with_a_job(pairs: list[PairStatus], action: JobAction) -> None:
    assert decide_job(pairs) is action
    assert decide_job(pairs[::-1]) is action
    assert decide_job(tuple(pairs * 2)) is action


@pytest.mark.parametrize("pairs", [[], [TO_DO], [BLOCKED], [DONE], [DUPLICATE], [FAILED]])
def test_a_reason_is_acted_upon_and_an_empty_folder_goes_whatever_else_is_known(pairs: list[PairStatus]) -> None:
    assert decide_job(pairs, has_reason=True) is JobAction.FINISH_FAILING
    assert decide_job(pairs, has_files=False) is JobAction.REMOVE
    assert decide_job(pairs, has_files=False, has_reason=True) is JobAction.REMOVE
