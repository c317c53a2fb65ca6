"""A manifest (CSV or JSON Lines) to pairs. All that is wrong with it is reported at once, by line, before any work."""

from __future__ import annotations

import glob
import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import ManifestError, UsageError
from pipeline.pair import InputFile, Style, library_label, make_pairs, unicode_name
from pipeline.run.manifest_rows import Problems, Row, read_rows
from pipeline.run.picture_files import (
    WRITABLE,
    earlier_results,
    ending_of,
    entries_of,
    is_image,
    is_picture,
    listed,
    mask_for,
    matches_of,
    warn_about_left_out,
)
from pipeline.run.result_names import collision_key, manifest_name, with_longest_suffix
from pipeline.settings.all_settings import explain
from pipeline.settings.pair_settings import OUTPUT_FORMATS
from pipeline.settings.resolve import for_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.pair import Pair
    from pipeline.settings import PairSettings, Values


@dataclass(frozen=True)
class ManifestRules:
    """Which files a manifest may name, and which of them are images."""

    endings: tuple[str, ...]
    """Of the files that are taken from a folder, such as `.jpg`."""
    check_name: Callable[[str], str | None]
    """Why a result cannot have this name, or None."""
    roots: tuple[Path, ...] = ()
    """If any: the folders outside of which no file may be named."""
    find_style: Callable[[str], tuple[Path, ...] | None] = lambda _: None
    """The painting of a name in the style library, or those of a blend."""
    mask: Path | None = None
    """Of rows that name none; see `masks.mask_for`."""


def read_manifest(path: Path, base_values: Values, overrides: Values, rules: ManifestRules) -> list[Pair]:
    """Read, expand and check a manifest.

    Args:
        path: of the manifest; relative paths in it start at its folder.
        base_values: settings weaker than a row's own.
        overrides: settings stronger than a row's own.
        rules: what it may name.

    Raises:
        ManifestError: names every line that is wrong.
        UsageError: the file cannot be read at all.
    """
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        raise ManifestError(path.name, ["line 1: the manifest lists no pairs"])
    expander = Expander(path.parent.resolve(), base_values, overrides, rules, problems)
    pairs = [(row.line, pair) for row in rows for pair in expander.pairs(row)]
    _check_distinct(pairs, expander.rows_of_many, problems)
    problems.raise_if_any(path.name)
    return [pair for _, pair in pairs]


@dataclass(frozen=True)
class Expander:
    """What every row of one manifest is judged by."""

    folder: Path
    base_values: Values
    overrides: Values
    rules: ManifestRules
    problems: Problems
    rows_of_many: set[int] = field(default_factory=set)
    """Lines that stand for more than one pair, so that they cannot have an output."""
    _told: set[str] = field(default_factory=set)
    """Folders and patterns of which it was said what is left out."""

    def pairs(self, row: Row) -> Iterator[Pair]:
        """The pairs that a row stands for: every content that it names × every style."""
        settings = self.settings(row)
        contents = self._find(row.line, "content", row.content)
        styles = self._styles(row, blend=settings is not None and settings.style.blend)
        masks = self._masks_of(row, contents)
        if settings is None or not self._goes_together(row, settings, contents, styles):
            return
        for content in contents:
            for style in styles:
                yield from self._pair_and_variants(row, settings, content, style, masks.get(content))

    def _pair_and_variants(
        self, row: Row, settings: PairSettings, content: Path, style: Style, mask: Path | None
    ) -> Iterator[Pair]:
        """One pair of a row, and its variants; what is wrong with them is added to the problems."""
        # Links that a user names are followed here, and nowhere else.
        photograph = InputFile(content.resolve(), self._label(content))
        where = InputFile(mask.resolve(), self._label(mask)) if mask is not None else None
        named = [photograph.path]
        named += style.paintings if not style.is_of_library else []
        named += [where.path] if where is not None and row.mask else []
        for path in named:
            if self._is_outside(path):  # a link that was another a moment ago
                self.problems.add(row.line, f"{self._label(path)!r} is outside of run.roots")
        try:
            pairs = make_pairs(
                content=photograph,
                style=style,
                name=self._result_name(row, settings, content, style),
                settings=settings,
                mask=where,
                settings_are_shared=True,
            )
        except UsageError as error:
            self.problems.add(row.line, error.message.removesuffix("."))
            return
        for pair in pairs:
            wrong = self.rules.check_name(pair.file_name)
            if wrong:
                self.problems.add(row.line, f"output {pair.name!r} {wrong}")
            else:
                yield pair

    def _result_name(self, row: Row, settings: PairSettings, content: Path, style: Style) -> str:
        output = row.output.replace(os.sep, "/")
        if ending_of(output) in OUTPUT_FORMATS:
            output = output[: -len(ending_of(output))]
        if output:
            return unicodedata.normalize("NFC", unicode_name(output))
        check_name = with_longest_suffix(self.rules.check_name, settings, content.name)
        return manifest_name(content.stem, style.name, check_name)

    def _goes_together(self, row: Row, settings: PairSettings, contents: list[Path], styles: list[Style]) -> bool:
        """Whether what a row says can be said of so many pairs."""
        count = len(contents) * len(styles)
        if count > 1:
            self.rows_of_many.add(row.line)
            if row.output:
                self.problems.add(row.line, f"output {row.output!r} for {count} pairs; leave it empty")
                return False
        elif count and not self._suits_format(row, settings, contents[0]):
            return False
        if len(styles) > 1 and settings.style.blend_weights:
            self.problems.add(row.line, "style.blend_weights are for one style of several paintings; set style.blend")
        return True

    def _suits_format(self, row: Row, settings: PairSettings, content: Path) -> bool:
        """Whether an output's ending, if it has one, is that of the format."""
        wanted = OUTPUT_FORMATS.get(ending_of(row.output))
        kind = settings.output.format_for(content.name)
        if wanted in (None, kind):
            return True
        is_same = f", here {kind}" if settings.output.format == "same" else ""
        self.problems.add(
            row.line, f"output {row.output!r} is a {wanted}, but output.format is {settings.output.format}{is_same}"
        )
        return False

    def _styles(self, row: Row, *, blend: bool) -> list[Style]:
        named = self.rules.find_style(row.style)
        if named is not None:
            return [Style(row.style, library_label(named), named, is_of_library=True)]
        files = self._find(row.line, "style", row.style)
        path = Path(os.path.normpath(self.folder / row.style))
        if not blend or path.is_file() or not files:
            return [Style(file.stem, self._label(file), (file.resolve(),)) for file in files]
        folder = path if path.is_dir() else next(each for each in path.parents if not glob.has_magic(each.name))
        return [Style(folder.name, self._label(path), tuple(file.resolve() for file in files))]

    def _masks_of(self, row: Row, contents: list[Path]) -> dict[Path, Path]:
        """The masks of a row's photographs; one that should have a mask and has none is a problem."""
        if not row.mask:
            masks, named = self.rules.mask, f"mask.file {str(self.rules.mask)!r}"
        else:
            masks, named = Path(os.path.normpath(self.folder / row.mask)), f"mask folder {row.mask!r}"
        if masks is None:
            return {}
        if not masks.exists():
            self.problems.add(row.line, f"mask {row.mask!r} does not exist")
            return {}
        found = {content: mask_for(masks, content.stem, self.rules.endings) for content in contents}
        missing = [content.stem for content, mask in found.items() if mask is None]
        if missing:
            self.problems.add(row.line, _missing_masks(named, missing, is_of_row=bool(row.mask)))
        usable = {content: mask for content, mask in found.items() if mask is not None}
        outside = [content for content, mask in usable.items() if row.mask and self._is_outside(mask)]
        for mask in dict.fromkeys(usable.pop(content) for content in outside):
            self.problems.add(row.line, f"mask {self._label(mask)!r} is outside of run.roots")
        return usable

    def settings(self, row: Row) -> PairSettings | None:
        """Those of a row, whose output's ending is one of them; None if something is wrong with them."""
        values = row.values
        image_format = OUTPUT_FORMATS.get(ending_of(row.output))
        if not image_format and is_picture(row.output):
            self.problems.add(
                row.line, f"output {row.output!r}: results are {WRITABLE}; use such an ending, or leave it out"
            )
        if image_format:
            values = {**values, "output": {"format": image_format, **values.get("output", {})}}
        try:
            settings = for_pair(self.base_values, values, self.overrides)
        except ValidationError as error:
            for message in explain(error):
                self.problems.add(row.line, message)
            return None
        except UsageError as error:
            self.problems.add(row.line, str(error))
            return None
        return settings

    def _find(self, line: int, what: str, text: str) -> list[Path]:
        """The files that a cell names: a file, all images in a folder, or all matches of a glob."""
        path = Path(os.path.normpath(self.folder / text))
        if path.is_dir():
            found = entries_of(path)
            complaint = f"{what} folder {text!r} has no images ({', '.join(self.rules.endings)})"
        elif path.exists():
            found, complaint = [], ""
        elif glob.has_magic(text):
            found = matches_of(text, self.folder)
            complaint = f"{what} {text!r} matches no images"
        else:
            found, complaint = [], f"{what} {text!r} does not exist"
        files = [each for each in found if is_image(each, self.rules.endings)] if complaint else [path]
        if text not in self._told:
            self._told.add(text)
            warn_about_left_out(text, found, self.rules.endings)
        if not files:
            self.problems.add(line, complaint)
        results = earlier_results(files) if complaint else []
        if results:
            self.problems.add(line, f"{what} {text!r} takes in results of an earlier run: {', '.join(results[:3])}")
        outside = [p for p in files if self._is_outside(p)]
        for stranger in outside:
            self.problems.add(line, f"{what} {self._label(stranger)!r} is outside of run.roots")
        return [p for p in files if p not in outside]

    def _label(self, path: Path) -> str:
        """A path relative to the manifest, as messages and the metadata show it."""
        try:
            relative = os.path.relpath(path, self.folder)
        except ValueError:  # another drive on Windows
            relative = path.name
        return unicode_name(relative.replace(os.sep, "/"))

    def _is_outside(self, path: Path) -> bool:
        return bool(self.rules.roots) and not _inside(path, self.rules.roots)


def _inside(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(path.resolve().is_relative_to(root.resolve()) for root in roots)


def _missing_masks(masks: str, missing: list[str], *, is_of_row: bool) -> str:
    names = "s" * (len(missing) != 1)
    otherwise = ", or leave the mask empty in a row of its own" if is_of_row else ""
    return (
        f"{masks} has no mask of the name{names} {listed([repr(name) for name in missing])}; "
        f"make one, all white if the style is to act everywhere{otherwise}"
    )


def _check_distinct(pairs: list[tuple[int, Pair]], rows_of_many: set[int], problems: Problems) -> None:
    """Add a problem for each pair whose result would have the name of an earlier one's."""
    taken: dict[str, tuple[int, Pair]] = {}
    for line, pair in pairs:
        other_line, other = taken.setdefault(collision_key(pair.name), (line, pair))
        if other is not pair:
            is_of_many = {line, other_line} <= rows_of_many
            remedy = (
                "rename one of the files, or name it in a row of its own, with an output"
                if is_of_many
                else ("give one of them an output")
            )
            problems.add(
                line,
                f"{pair.content_label} × {pair.style_label} would have the same output name {pair.name!r} as "
                f"{other.content_label} × {other.style_label} (line {other_line}); {remedy}",
            )
