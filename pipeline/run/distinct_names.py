"""Distinct names for the results of a manifest whose pairs would have the same ones.

Photographs of one name may lie in several folders, and paintings, too. Then one pair keeps the name, and each other one
gets a suffix, which depends on nothing but the labels of its photograph and its style. The outbox decides which pair
keeps the name, by the metadata and failure records there: a result of an earlier run is never replaced by that of
another photograph, whether or not its own photograph is still in the manifest, and a photograph that is added later
changes no name. Without earlier results, the first pair in the manifest keeps it.

Two rows that name their results alike, and two rows for the same photograph and style with different settings, are
errors: only the user knows which result is meant.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.files import read_file
from pipeline.run.picture_files import listed
from pipeline.run.result_names import alternatives, collision_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.pair import Pair
    from pipeline.run.earlier_results import EarlierResults
    from pipeline.run.manifest_rows import Problems

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairGroup:
    """A pair of a manifest and its variants, whose names begin alike."""

    line: int
    pairs: tuple[Pair, ...]
    is_named: bool
    """Whether the row names the result; otherwise it is named after photograph and style."""
    is_of_many: bool
    """Whether the row stands for more than one pair, and so cannot name a result."""
    short_name: str = ""
    """Name that has room for a suffix, in place of the name itself if that is too long for one."""
    spelled_name: str = ""
    """Name that an earlier version gave the pair, if it was another one."""

    @property
    def first(self) -> Pair:
        """The pair itself."""
        return self.pairs[0]

    def earlier_names(self) -> Iterator[str]:
        """Yield names that the pair may have got in an earlier run, unless many other pairs have its name."""
        yield from dict.fromkeys([self.spelled_name or self.first.name, *itertools.islice(self.names(), 2)])

    def named(self, name: str) -> PairGroup:
        """Return the group with another name."""
        end = len(self.first.name)
        return replace(self, pairs=tuple(replace(pair, name=f"{name}{pair.name[end:]}") for pair in self.pairs))

    def names(self) -> Iterator[str]:
        """Yield names that the pair may have; they do not depend on other pairs."""
        labels = (self.first.content_label, self.first.style_label)
        key = hashlib.sha256("\0".join(unicodedata.normalize("NFC", label) for label in labels).encode()).hexdigest()
        plain, *suffixed = alternatives(self.first.name, key)
        _, *short = alternatives(self.short_name or self.first.name, key)
        yield from dict.fromkeys([plain, *suffixed, *short])


def with_distinct_names(
    groups: Sequence[PairGroup],
    earlier: EarlierResults,
    check_name: Callable[[str], str | None],
    problems: Problems,
) -> list[Pair]:
    """Return the pairs of a manifest with distinct names; names that cannot be made distinct are problems.

    Args:
        groups: the pairs as the rows name them.
        earlier: the results of earlier runs.
        check_name: returns why a result cannot have a file name, or None.
        problems: the manifest's problems, to which more are added.

    Raises:
        StorageError: the disk or the network failed while metadata were read.
    """
    distinct = _without_repeated(groups, problems)
    chosen: dict[int, PairGroup] = {}
    names = _Names(earlier, check_name)
    for index, group in enumerate(distinct):
        if group.is_named:
            other = names.other_of(group)
            if other is None:
                chosen[index] = names.take(group)
            else:
                problems.add(group.line, _same_name(group, other))
    for find in (names.of_earlier_run, names.first_free):  # earlier runs first, so that no name of theirs is given away
        for index, group in enumerate(distinct):
            if index not in chosen and not group.is_named:
                found = find(group)
                if found is not None:
                    chosen[index] = names.take(found)
    return [pair for index in sorted(chosen) for pair in chosen[index].pairs]


class _Names:
    """The names that are given to pairs."""

    def __init__(self, earlier: EarlierResults, check_name: Callable[[str], str | None]) -> None:
        self._earlier, self._check_name = earlier, check_name
        self._taken: dict[str, PairGroup] = {}

    def take(self, group: PairGroup) -> PairGroup:
        """Give a group its names."""
        for pair in group.pairs:
            self._taken[collision_key(pair.name)] = group
        return group

    def other_of(self, group: PairGroup) -> PairGroup | None:
        """Return the group that has one of a group's names already; None if all are free."""
        keys = (collision_key(pair.name) for pair in group.pairs)
        return next((self._taken[key] for key in keys if key in self._taken), None)

    def of_earlier_run(self, group: PairGroup) -> PairGroup | None:
        """Return a group with the name that an earlier run gave it; None if there is no such name."""
        for named in self._possible(group, group.earlier_names()):
            pair = named.first
            origins = self._earlier.origin(pair.file_name), self._earlier.origin_of_failure(pair.name)
            if any(origin is not None and origin.is_of(pair.content_label, pair.style_label) for origin in origins):
                return named
        return None

    def first_free(self, group: PairGroup) -> PairGroup | None:
        """Return a group with the first name under which there is no result of another photograph."""
        return next(
            (named for named in self._possible(group, group.names()) if not self._is_of_another(named.first)), None
        )

    def _possible(self, group: PairGroup, names: Iterable[str]) -> Iterator[PairGroup]:
        for name in names:
            named = group.named(name)
            if self.other_of(named) is None and not any(self._check_name(pair.file_name) for pair in named.pairs):
                yield named

    def _is_of_another(self, pair: Pair) -> bool:
        origin = self._earlier.origin(pair.file_name)
        if origin is None or origin.is_of_content(pair.content_label):
            return False
        try:
            return read_file(pair.content).sha256 != origin.content_sha256  # the photograph may have been moved
        except (ImageError, UnreadableError):
            return True


def _without_repeated(groups: Sequence[PairGroup], problems: Problems) -> list[PairGroup]:
    """Return the groups without those that are there already, and tell of them."""
    seen: dict[tuple[object, ...], PairGroup] = {}
    distinct: list[PairGroup] = []
    repeated: list[PairGroup] = []
    for group in groups:
        pair = group.first
        key = collision_key(pair.name), pair.content, pair.styles
        other = None if group.is_named else seen.setdefault(key, group)
        if other is None or other is group:
            distinct.append(group)
        elif _as_rendered(other) == _as_rendered(group):
            repeated.append(group)
        else:
            problems.add(group.line, _same_name(group, other))
    if repeated and not problems.found:
        names = [f"{each.first.content_label} × {each.first.style_label}" for each in repeated]
        many = len(repeated) != 1
        logger.warning(
            "%d pair%s named more than once, and painted once: %s.",
            len(repeated),
            "s are" if many else " is",
            listed(names),
        )
    return distinct


def _as_rendered(group: PairGroup) -> list[object]:
    return [(pair.mask, pair.settings) for pair in group.pairs]


def _same_name(group: PairGroup, other: PairGroup) -> str:
    is_of_many = group.is_of_many and other.is_of_many
    remedy = "name it in a row of its own, with an output" if is_of_many else "give one of them an output"
    taken = {collision_key(pair.name) for pair in other.pairs}
    name = next((pair.name for pair in group.pairs if collision_key(pair.name) in taken), group.first.name)
    return (
        f"{group.first.content_label} × {group.first.style_label} would have the same output name {name!r} as "
        f"{other.first.content_label} × {other.first.style_label} (line {other.line}); {remedy}"
    )
