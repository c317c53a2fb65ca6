"""The pairs of a job, found from its files."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import ImageError, MachineError, ManifestError, UnreadableError, UsageError
from pipeline.images.files import read_file
from pipeline.images.films.writing import check_encoder
from pipeline.outbox.ledger import Fingerprint
from pipeline.outbox.paths import check_name
from pipeline.pair import InputFile, Pair, Style, library_label, make_pairs
from pipeline.run.films import frames_of
from pipeline.run.manifest import ManifestRules, read_manifest
from pipeline.run.masks import mask_for
from pipeline.run.named_paths import composed
from pipeline.run.result_names import result_name, with_longest_suffix
from pipeline.run.sequences import frames_of_film
from pipeline.settings.resolve import for_pair
from pipeline.system.remedies import remedy_of
from pipeline.text import printable
from pipeline.watch.inbox.names import classify
from pipeline.watch.inbox.ticket_requirements import TicketRequirements, requirements_of_ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.outbox.publish import Outbox
    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import Values
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.spool.records import FileFacts, Job, ReturnedFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FingerprintReader:
    """Reads the fingerprints of pairs, which show whether a result in the outbox is up to date."""

    weights_sha256: str
    engine_version: str

    @property
    def made_by(self) -> str:
        """The weights and the engine's version, which every result depends on."""
        return f"{self.weights_sha256} {self.engine_version}"

    def read(self, pair: Pair) -> Fingerprint:
        """Hash the files of a pair.

        Raises:
            ImageError: a file is no picture that can be used.
            UnreadableError: a file cannot be read.
        """
        return Fingerprint.of(pair, lambda path: read_file(path).sha256, self.weights_sha256, self.engine_version)


@dataclass(frozen=True)
class JobPairs:
    """Finds the pairs of jobs, and changes nothing. The threads that scan and render call it."""

    settings: Settings
    base_values: Values
    """Settings that a ticket's rows override."""
    overrides: Values
    """Settings that override a ticket's rows."""
    image_endings: tuple[str, ...]
    """Endings of the names of photographs, with their dots."""
    styles: Styles
    mask: Path | None
    """Mask of all photographs, or folder of masks, as an absolute path."""
    made_by: str = ""
    """The weights and the engine's version."""
    film_endings: tuple[str, ...] = ()
    """Endings of the names of films, with their dots; empty: films are not painted."""
    folder_of_frames: Path = Path()
    """Folder for the extracted frames of films."""
    note_activity: Callable[[], None] = lambda: None
    """Function that is called while a film is extracted, which may take minutes."""

    @property
    def content_endings(self) -> tuple[str, ...]:
        """Endings of the names of photographs and films."""
        return (*self.image_endings, *self.film_endings)

    def requirements_of_ticket(self, ticket: Path) -> TicketRequirements:
        """Return the files and styles that a ticket waits for.

        Raises:
            ImpastoError: see `requirements_of_ticket`.
        """
        return requirements_of_ticket(ticket, self.base_values, self.overrides, self._manifest_rules())

    def pairs_of(self, job: Job, files: tuple[str, ...]) -> list[Pair] | None:
        """Return the pairs of a job, before the names of their results are chosen.

        Args:
            job: a photograph, or a ticket with its files.
            files: the files in the job's folder, by their paths in the inbox.

        Returns:
            None if a style or a file that the job needs is gone, or damaged if many photographs share it.

        Raises:
            UnreadableError: the disk or the network failed.
            ImpastoError: the ticket, the settings or the mask is wrong.
        """
        ticket = next((name for name in files if classify(name, self.content_endings).form == "ticket"), None)
        if ticket is not None:
            return self._pairs_of_ticket(job, ticket, files)
        if len(files) != 1:  # the files of a ticket that was lost with the power
            return None
        return self._pairs_of_photograph(job, files[0])

    def _manifest_rules(self, roots: tuple[Path, ...] = ()) -> ManifestRules:
        return ManifestRules(self.image_endings, check_name, roots, self.styles.find, mask=self.mask)

    def _pairs_of_ticket(self, job: Job, ticket: str, files: tuple[str, ...]) -> list[Pair] | None:
        requirements = self.requirements_of_ticket(job.path(ticket))
        if requirements.files.difference(map(composed, files)) or any(
            self.styles.find(name) is None for name in requirements.styles
        ):
            return None  # the ticket was changed, or a style is being replaced
        rules = self._manifest_rules((job.folder / "in",))
        try:
            return read_manifest(job.path(ticket), self.base_values, self.overrides, rules)
        except ManifestError as error:
            if error.is_of_machine:
                raise UnreadableError(error.message.split("\n"), error.remedy) from error
            raise

    def _pairs_of_photograph(self, job: Job, relative: str) -> list[Pair] | None:
        style = classify(relative, self.content_endings).style or self.settings.styles.default
        paintings = self.styles.find(style) if style else None
        if paintings is None or self.damage_of(relative):
            return None
        settings = for_pair(self.base_values, {}, self.overrides)
        name = result_name(relative, style, with_longest_suffix(check_name, settings, relative))
        mask = self._mask_of(relative)
        try:
            pairs = make_pairs(
                content=InputFile(job.path(relative), printable(relative)),
                style=Style(style, printable(library_label(paintings)), paintings, is_of_library=True),
                name=name,
                settings=settings,
                mask=InputFile(mask, printable(mask.name)) if mask is not None else None,
                settings_are_shared=True,  # the library has other styles
            )
        except UsageError as error:
            raise UsageError(f"{style}: {error.message}", error.remedy) from error
        if PurePosixPath(relative).suffix.lower() not in self.film_endings:
            return pairs
        try:
            check_encoder(settings.sequence.film)
        except MachineError as error:  # photographs go on
            raise ImageError(f"{printable(relative)}: {error.message}", error.remedy) from error
        frames = self._frames_of(job.path(relative))
        return [pair for variants in frames_of_film(pairs, frames, job.path(relative)) for pair in variants]

    def _frames_of(self, film: Path) -> list[Path]:
        try:
            return frames_of(film, self.folder_of_frames, self.note_activity)
        except OSError as error:
            raise UnreadableError(f"{film.name}: cannot be read: {error.strerror}.", f"{remedy_of(error)}.") from error

    def damage_of(self, relative: str) -> str:
        """Return what is wrong with the painting or the mask of a photograph; empty if nothing is known to be."""
        damaged = self.styles.damaged
        return damaged.why(self._shared_inputs(relative)) if damaged else ""  # so that masks are not looked for

    def _shared_inputs(self, relative: str) -> list[Path]:
        style = classify(relative, self.content_endings).style or self.settings.styles.default
        mask = self._find_mask(relative)
        return [*((style and self.styles.find(style)) or ()), *([mask.resolve()] if mask else [])]

    def basis_of(self, relative: str, facts: Mapping[Path, FileFacts | None]) -> str:
        """Return a digest of all that a photograph's results depend on beside the photograph.

        Args:
            relative: path of the photograph in the inbox.
            facts: facts of its paintings and its mask before they were read.
        """
        known = [(path, facts.get(path)) for path in self._shared_inputs(relative)]
        inputs = [(str(path), file.size, file.mtime_ns) if file else (str(path),) for path, file in known]
        return hashlib.sha256(repr((self._settings_as_text, self.made_by, inputs)).encode()).hexdigest()

    @cached_property
    def _settings_as_text(self) -> str:
        return for_pair(self.base_values, {}, self.overrides).model_dump_json()

    def is_up_to_date(self, outbox: Outbox, relative: str, record: ReturnedFile) -> bool:
        """Whether the results of a returned photograph are there and would be the same if they were made now."""
        if not record.basis:
            return True
        if record.basis != self.basis_of(relative, self.styles.damaged.facts(self._shared_inputs(relative))):
            return False
        try:
            return all(
                outbox.metadata_path(name).is_file() and outbox.picture_path(name).is_file() for name in record.results
            )
        except OSError as error:  # whether they are there is not known, and painting reports an outbox that fails
            logger.debug("%s", error)
            return True

    def _find_mask(self, relative: str) -> Path | None:
        return mask_for(self.mask, PurePosixPath(relative).stem, self.image_endings) if self.mask else None

    def _mask_of(self, relative: str) -> Path | None:
        if self.mask is None:
            return None
        name = PurePosixPath(relative).stem
        mask = self._find_mask(relative)
        if mask is None:
            raise UsageError(
                f"mask.file = {self.settings.mask.file}: has no mask of the name {printable(name)!r}.",
                "Put one there, all white if the style is to act everywhere; then drop the photograph again.",
            )
        return mask.resolve()
