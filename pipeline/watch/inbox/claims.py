"""Claims: decides which files of the inbox can be claimed now, and moves them into the spool.

A file is decided about when it becomes stable, and again only if it changes, or if a style or a ticket changes on which
the decision depends. So the cost of a round does not depend on the number of files that wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.watch.inbox.decisions import FileAction, FileView, decide_file
from pipeline.watch.inbox.names import classify
from pipeline.watch.spool.records import Claimed, NotClaimedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.watch.inbox.files import InboxFiles
    from pipeline.watch.inbox.rules import InboxRules
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.inbox.tickets import Tickets
    from pipeline.watch.spool.spool import Spool


class Claims:
    """Claims stable files of the inbox. Only the scanning thread uses it."""

    def __init__(self, files: InboxFiles, tickets: Tickets, spool: Spool, styles: Styles, rules: InboxRules) -> None:
        self._files, self._tickets, self._spool, self._styles, self._rules = files, tickets, spool, styles, rules
        self._changes_of_styles = styles.changes
        """Value of `Styles.changes` when the photographs without a style were decided about."""

    def claim_stable(self, room: int, now: float, closes_at: float | None) -> Iterator[Claimed]:
        """Claim photographs and tickets, and use style pictures.

        Args:
            room: largest number of photographs to claim; tickets and styles need no room.
            now: the time, in monotonic seconds.
            closes_at: time after which newly seen files are not claimed; None if there is no such time.

        Yields:
            Each photograph's job, as soon as it is claimed. Tickets are passed on to `Tickets`.

        Raises:
            OSError: the spool or the styles cannot be read or written.
            EvictedError: other workers took this one for dead.
        """
        self._reconsider_photographs()
        tracker, queue = self._files.tracker, self._files.queue
        # Tickets are claimed before any photograph, since they reserve files.
        while (name := tracker.take_due(now)) is not None:
            try:
                self._decide(name, now, closes_at)
            except BaseException:
                tracker.make_due(name)
                raise
        while room > 0 and (name := queue.first()) is not None:
            claimed = self._claim_photograph(name, now)
            queue.remove_ready(name)
            if claimed is not None:
                room -= 1
                yield claimed

    def is_settling(self, closes_at: float) -> bool:
        """Whether any file that was first seen before `closes_at`, and becomes stable before it, is not claimed yet."""
        return self._files.queue.first() is not None or self._files.tracker.next_due() <= closes_at

    def _reconsider_photographs(self) -> None:
        """Decide again about the photographs that wait for a style, if a style has changed."""
        if self._changes_of_styles != self._styles.changes:
            self._changes_of_styles = self._styles.changes
            for name in self._files.queue.take_waiting_for_style():
                self._files.tracker.make_due(name)

    def _decide(self, name: str, now: float, closes_at: float | None) -> None:
        """Decide about a file that has become stable: claim it, use it, let it wait for room, or leave it."""
        self._files.queue.discard(name)
        is_late = closes_at is not None and self._files.tracker.files[name].first_seen > closes_at
        if is_late or not self._may_claim(name):
            return
        form = self._files.form(name)
        if form == "photo":
            self._files.let_wait_for_room(name)
        elif self._was_returned(name) or not self._is_stable(name, now):
            return
        elif form == "style":
            if self._files.may_be_claimed(name, now):
                self._files.use_as_style(name)
                self._reconsider_photographs()
        elif (claimed := self._claim(name, now)) is not None:
            self._tickets.add(claimed, name, now)

    def _claim_photograph(self, name: str, now: float) -> Claimed | None:
        """Claim a photograph that waited for room; None if it has changed, or may not be claimed any more."""
        if not self._may_claim(name) or self._was_returned(name) or not self._is_stable(name, now):
            return None
        return self._claim(name, now)

    def _may_claim(self, name: str) -> bool:
        """Whether a file can be claimed or used as it is; the reason to leave a file is recorded."""
        if self._files.is_kept(name):
            return False
        view = self._view(name)
        action, reason = decide_file(view)
        if action is FileAction.LEAVE and not self._was_returned(name):
            self._files.leave(name, reason, was_told=bool(view.damage))
            if view.candidate.form == "photo":
                self._files.queue.wait_for_style(name)
        return action in (FileAction.CLAIM, FileAction.USE_AS_STYLE)

    def _is_stable(self, name: str, now: float) -> bool:
        self._files.look_at(name, now)
        return self._files.tracker.is_stable(name, now)

    def _view(self, name: str) -> FileView:
        candidate = classify(name, self._rules.image_endings)
        style = candidate.style or self._rules.default_style
        return FileView(
            candidate,
            is_empty=self._files.tracker.files[name].facts.size == 0,
            style=style,
            style_is_known=bool(style) and self._styles.find(style) is not None,
            damage=self._rules.damage_of(name) if candidate.form == "photo" else "",
            awaited=self._tickets.is_awaited(name),
        )

    def _was_returned(self, name: str) -> bool:
        record = self._spool.returned(name, self._files.tracker.files[name].facts)
        if record is None or not self._rules.is_up_to_date(name, record):
            return False
        self._files.keep_returned(name)
        return True

    def _claim(self, name: str, now: float) -> Claimed | None:
        facts = self._files.tracker.files[name].facts
        if not self._files.may_be_claimed(name, now):
            return None
        try:
            job = self._spool.claim(name)
        except NotClaimedError as error:
            self._files.handle_not_claimed(name, error, now)
            return None
        self._files.remove_claimed(job, name)
        return Claimed(job, {name: facts})
