"""A manifest (CSV or JSON Lines) to pairs. All its errors are reported at once, by line, before any work."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import ImageError, ManifestError, UsageError
from pipeline.images.films.description import ENDINGS
from pipeline.pair import InputFile, Style, library_label, make_pairs
from pipeline.run.distinct_names import PairGroup, with_distinct_names
from pipeline.run.earlier_results import IN_NO_OUTBOX, EarlierResults
from pipeline.run.manifest_files import FileFinder
from pipeline.run.manifest_rows import Problems, Row, read_rows
from pipeline.run.named_paths import slashed
from pipeline.run.patterns import is_pattern
from pipeline.run.picture_files import WRITABLE, ending_of, is_picture
from pipeline.run.result_names import (
    collision_key,
    manifest_name,
    short_manifest_name,
    spelled_name,
    with_longest_suffix,
)
from pipeline.run.sequences import framed, frames_of_film, in_order
from pipeline.settings.all_settings import explain
from pipeline.settings.pair_settings import OUTPUT_FORMATS
from pipeline.settings.resolve import for_pair
from pipeline.text import encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.pair import Pair
    from pipeline.settings import PairSettings, Values


@dataclass(frozen=True)
class ManifestRules:
    """Rules for a manifest: files that it may name, endings of pictures, and names that results may have."""

    endings: tuple[str, ...]
    """Endings of the files that are read from a folder, such as `.jpg`."""
    check_name: Callable[[str], str | None]
    """Function that returns why a result cannot have a name, or None."""
    roots: tuple[Path, ...] = ()
    """Folders in which all named files must lie; empty: files may lie anywhere."""
    find_style: Callable[[str], tuple[Path, ...] | None] = lambda _: None
    """Function that returns the painting, or the paintings of a blend, by the name of a style of the library."""
    films: Callable[[Path], list[Path]] | None = None
    """Function that returns the files of a film's frames; None: films are not allowed."""
    mask: Path | None = None
    """The mask, or the folder of masks, for rows that name none; see `masks.MaskFinder`."""
    earlier: EarlierResults = IN_NO_OUTBOX
    """The results of earlier runs, which keep their names, and which are no photographs."""


def read_manifest(path: Path, base_values: Values, overrides: Values, rules: ManifestRules) -> list[Pair]:
    """Read, expand and check a manifest; there are no pairs if its folders and patterns bring no pictures now.

    Args:
        path: the manifest; relative paths in it start at its folder.
        base_values: settings weaker than a row's own.
        overrides: settings stronger than a row's own.
        rules: the allowed files and names.

    Raises:
        ManifestError: names every line that is wrong.
        UsageError: the file cannot be read at all.
        StorageError: the disk or the network failed while metadata of earlier results were read.
    """
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        raise ManifestError(path.name, ["line 1: the manifest lists no pairs"])
    expander = Expander(path.parent.resolve(), base_values, overrides, rules, problems)
    groups = [group for row in rows for group in expander.groups(row)]
    pairs = with_distinct_names(groups, rules.earlier, rules.check_name, problems)
    problems.raise_if_any(path.name)
    return pairs


def _groups_of(row: Row, frames: Iterable[tuple[Pair, ...]]) -> Iterator[PairGroup]:
    for variants in frames:
        if variants:
            yield PairGroup(row.line, variants, is_named=True, is_of_many=False)


@dataclass(frozen=True)
class Expander:
    """Makes pairs from the rows of one manifest, and collects the problems of the rows."""

    folder: Path
    """The manifest's folder, at which relative paths start."""
    base_values: Values
    overrides: Values
    rules: ManifestRules
    problems: Problems
    _clips: dict[str, int] = field(default_factory=dict)
    """Lines of the sequences, by `collision_key` of their names."""
    _clips_of_line: dict[int, set[str]] = field(default_factory=dict)
    """Names of the sequences of each line."""

    @cached_property
    def _files(self) -> FileFinder:
        return FileFinder(self.folder, self.rules.endings, self.rules.roots, self.problems, self.rules.earlier)

    def groups(self, row: Row) -> Iterator[PairGroup]:
        """Yield the pairs of a row: each of its contents with each of its styles."""
        if row.is_sequence and ending_of(row.content) not in ENDINGS:
            yield from self._frames(row)
            return
        settings = self.settings(row)
        contents = self._files.find(row.line, "content", row.content)
        styles = self._styles(row, blend=settings is not None and settings.style.blend)
        masks = self._files.masks(row, contents, self.rules.mask)
        if settings is None or not self._is_consistent(row, settings, contents, styles):
            return
        for content in contents:
            if content.suffix.lower() in ENDINGS:
                yield from self._film(row, settings, content, styles, masks.get(content))
                continue
            for style in styles:
                name = self._result_name(row, settings, content, style)
                pairs = self._pair_and_variants(row, settings, content, style, mask=masks.get(content), name=name)
                if pairs:
                    short_name = short_manifest_name(content.stem, style.name)
                    is_of_many = len(contents) * len(styles) > 1
                    spelled = spelled_name(content.stem, style.name)
                    yield PairGroup(row.line, tuple(pairs), bool(row.output), is_of_many, short_name, spelled)

    def _frames(self, row: Row) -> Iterator[PairGroup]:
        """Yield the pairs of a sequence: all its frames with each of its styles."""
        settings = self.settings(row)
        found = self._files.find(row.line, "content", row.content)
        styles = self._styles(row, blend=settings is not None and settings.style.blend)
        if len(styles) > 1 and row.output:
            self.problems.add(row.line, f"output {row.output!r} for {len(styles)} sequences; leave it empty")
            return
        if not found:
            return
        try:
            contents = in_order(found)
        except UsageError as error:
            self.problems.add(row.line, f"content {row.content!r}: {error.message}; {error.remedy}")
            return
        if settings is None or not self._is_of_format(row, settings, contents[0]):
            return
        folder = self._files.folder_or_pattern(row.content)
        name = (folder if folder.is_dir() else folder.parent).name
        masks = self._files.masks(row, contents, self.rules.mask)
        for style in styles:
            clip = self._clip_name(row, settings, name, style, contents[0].name)
            if not clip:
                continue
            pairs = [
                self._pair_and_variants(
                    row, settings, content, style, mask=masks.get(content), name=f"{clip}/{content.stem}"
                )
                for content in contents
            ]
            yield from _groups_of(row, framed(clip, pairs))

    def _film(
        self, row: Row, settings: PairSettings, film: Path, styles: Sequence[Style], mask: Path | None
    ) -> Iterator[PairGroup]:
        """Yield the pairs of a film: its frames with each of its styles."""
        if self.rules.films is None:
            self.problems.add(row.line, f"content {row.content!r} is a film, which only `impasto run` paints")
            return
        source, refusal, frames = film.resolve(), None, [film]
        try:
            frames = self.rules.films(source)
        except ImageError as error:
            refusal = error.message, error.remedy
        except OSError as error:
            self.problems.add(row.line, f"content {row.content!r} cannot be read: {error.strerror}", error)
            return
        for style in styles:
            clip = self._clip_name(row, settings, film.stem, style, frames[0].name)
            first = self._pair_and_variants(row, settings, film, style, mask=mask, name=clip) if clip else []
            if refusal is not None:
                refused = tuple(replace(pair, refusal=refusal) for pair in first)
                yield PairGroup(row.line, refused, is_named=True, is_of_many=False)
                continue
            yield from _groups_of(row, frames_of_film(first, frames, source))

    def _clip_name(self, row: Row, settings: PairSettings, name: str, style: Style, frame: str) -> str:
        """Return the name of a sequence's results: the folder of its frames in the outbox; empty if it is taken."""
        check_frame = with_longest_suffix(self.rules.check_name, settings, frame)
        clip = self._output(row) or manifest_name(name, style.name, lambda clip: check_frame(f"{clip}/{frame}"))
        other = self._clips.setdefault(collision_key(clip), row.line)
        if other != row.line or clip in self._clips_of_line.setdefault(row.line, set()):
            self.problems.add(
                row.line, f"{clip!r} would be the name of two sequences (line {other}); give one of them an output"
            )
            return ""
        self._clips_of_line[row.line].add(clip)
        return clip

    def settings(self, row: Row) -> PairSettings | None:
        """Return the settings of a row, with the format of its output; None if a setting is wrong."""
        values = row.values
        image_format = OUTPUT_FORMATS.get(ending_of(row.output))
        if not image_format and is_picture(row.output):
            self.problems.add(
                row.line, f"output {row.output!r}: results are {WRITABLE}; use such an ending, or leave it out"
            )
        if image_format:
            values = {**values, "output": {"format": image_format, **values.get("output", {})}}
        try:
            return for_pair(self.base_values, values, self.overrides)
        except ValidationError as error:
            for message in explain(error):
                self.problems.add(row.line, message)
        except UsageError as error:
            self.problems.add(row.line, str(error))
        return None

    def _styles(self, row: Row, *, blend: bool) -> list[Style]:
        of_library = self.rules.find_style(row.style)
        if of_library is not None:
            return [Style(row.style, library_label(of_library), of_library, is_of_library=True)]
        files = self._files.find(row.line, "style", row.style)
        label = self._files.label
        if not blend or not files or (path := self._files.folder_or_pattern(row.style)) in files:
            return [Style(file.stem, label(file), (file.resolve(),)) for file in files]
        folder = next(each for each in (path, *path.parents) if path.is_dir() or not is_pattern(each.name))
        return [Style(folder.name, label(path), tuple(file.resolve() for file in files))]

    def _is_consistent(self, row: Row, settings: PairSettings, contents: list[Path], styles: list[Style]) -> bool:
        """Whether a row's output and weights suit all of its pairs."""
        count = len(contents) * len(styles)
        if count > 1:
            if row.output:
                self.problems.add(row.line, f"output {row.output!r} for {count} pairs; leave it empty")
                return False
        elif count and not self._is_of_format(row, settings, contents[0]):
            return False
        if len(styles) > 1 and settings.style.blend_weights:
            self.problems.add(row.line, "style.blend_weights are for one style of several paintings; set style.blend")
        return True

    def _is_of_format(self, row: Row, settings: PairSettings, content: Path) -> bool:
        """Whether an output's ending, if it has one, is an ending of the format."""
        wanted = OUTPUT_FORMATS.get(ending_of(row.output))
        image_format = settings.output.format_for(content.name)
        if wanted in (None, image_format):
            return True
        is_same = f", here {image_format}" if settings.output.format == "same" else ""
        self.problems.add(
            row.line, f"output {row.output!r} is a {wanted}, but output.format is {settings.output.format}{is_same}"
        )
        return False

    def _pair_and_variants(  # noqa: PLR0913 - a pair's parts
        self, row: Row, settings: PairSettings, content: Path, style: Style, *, mask: Path | None, name: str
    ) -> list[Pair]:
        """Return one pair of a row, and its variants; nothing if one of them cannot have its name."""
        # Links are followed: a user who names a link means the file that it leads to.
        photograph = InputFile(content.resolve(), self._files.label(content))
        mask_file = InputFile(mask.resolve(), self._files.label(mask)) if mask is not None else None
        named = [photograph.path]
        named += style.paintings if not style.is_of_library else []
        named += [mask_file.path] if mask_file is not None and row.mask else []
        for path in named:
            if self._files.is_outside(path):  # the file is a link that was replaced after it was found
                self.problems.add(row.line, f"{self._files.label(path)!r} is outside of run.roots")
        try:
            pairs = make_pairs(
                content=photograph,
                style=style,
                name=name,
                settings=settings,
                mask=mask_file,
                settings_are_shared=True,
            )
        except UsageError as error:
            self.problems.add(row.line, error.message.removesuffix("."))
            return []
        for pair in pairs:
            wrong = self.rules.check_name(pair.file_name)
            if wrong:
                self.problems.add(row.line, f"output {pair.name!r} {wrong}")
                return []
        return pairs

    def _output(self, row: Row) -> str:
        """Return the name that a row gives its result, without ending; empty if it gives none."""
        output = slashed(row.output)
        if ending_of(output) in OUTPUT_FORMATS or ending_of(output) in ENDINGS:
            output = output[: -len(ending_of(output))]
        return unicodedata.normalize("NFC", encodable(output))

    def _result_name(self, row: Row, settings: PairSettings, content: Path, style: Style) -> str:
        output = self._output(row)
        if output:
            return output
        check_name = with_longest_suffix(self.rules.check_name, settings, content.name)
        return manifest_name(content.stem, style.name, check_name)
