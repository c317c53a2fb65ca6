"""Claims: decides which files of the inbox can be claimed now, and moves them into the spool."""

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
        names = self._files.tracker.due(now)
        names.sort(key=lambda name: self._files.form(name) != "ticket")  # tickets first, since they reserve files
        for name in names:
            if not self._is_claimable(name, room, closes_at):
                continue
            self._files.look_at(name, now)
            if not self._files.tracker.is_stable(name, now):
                continue
            form = self._files.form(name)
            if form == "style":
                self._files.use_as_style(name)
            elif (claimed := self._claim(name, now)) is None:
                continue
            elif form == "ticket":
                self._tickets.add(claimed, name, now)
            else:
                room -= 1
                yield claimed

    def is_settling(self, closes_at: float) -> bool:
        """Whether any file that was first seen before `closes_at`, and becomes stable before it, is not claimed yet."""
        tracker = self._files.tracker
        staying = self._files.staying() | self._tickets.awaited_files()
        return any(
            name not in staying and known.first_seen <= closes_at and tracker.stable_at(name) <= closes_at
            for name, known in tracker.files.items()
        )

    def _is_claimable(self, name: str, room: int, closes_at: float | None) -> bool:
        if self._files.is_kept(name):
            return False
        known = self._files.tracker.files[name]
        if closes_at is not None and known.first_seen > closes_at:
            return False
        view = self._view(name, is_empty=known.facts.size == 0)
        action, reason = decide_file(view)
        if action is FileAction.LEAVE:
            if self._files.left.get(name) != reason and not self._was_returned(name):
                self._files.leave(name, reason, was_told=bool(view.damage))
            return False
        if action is FileAction.WAIT:
            return False
        has_room = room > 0 or action is FileAction.USE_AS_STYLE or self._files.form(name) == "ticket"
        return has_room and not self._was_returned(name)

    def _view(self, name: str, *, is_empty: bool) -> FileView:
        candidate = classify(name, self._rules.image_endings)
        style = candidate.style or self._rules.default_style
        return FileView(
            candidate,
            is_empty=is_empty,
            style=style,
            style_is_known=bool(style) and self._styles.find(style) is not None,
            damage=self._rules.damage_of(name) if candidate.form == "photo" else "",
            awaited=name in self._tickets.awaited_files(),
        )

    def _was_returned(self, name: str) -> bool:
        if not self._spool.was_returned(name, self._files.tracker.files[name].facts):
            return False
        self._files.keep_returned(name)
        return True

    def _claim(self, name: str, now: float) -> Claimed | None:
        facts = self._files.tracker.files[name].facts
        try:
            job = self._spool.claim(name)
        except NotClaimedError as error:
            self._files.handle_not_claimed(name, error, now)
            return None
        self._files.remove_claimed(job, name)
        return Claimed(job, {name: facts})
