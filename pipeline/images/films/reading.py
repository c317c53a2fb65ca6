"""A film to numbered PNG files, in sRGB, upright and with square pixels, and a description of its timing."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from pydantic import ValidationError

from pipeline.errors import ImageError
from pipeline.images.films.av_library import EXACT, load_av
from pipeline.images.films.description import FilmDescription
from pipeline.system.sync import sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DESCRIPTION: Final = "film.json"
"""Name of the description."""
_UNFINISHED: Final = "unfinished-"
_ABANDONED_SECONDS: Final = 86_400.0
"""Seconds without a new frame after which nobody extracts into a folder any more."""
_HDR: Final = {16: "PQ", 18: "HLG"}
"""Transfer functions of films with a high dynamic range, by their number in ITU-T H.273."""
_BT709, _BT601 = 1, 5
"""Matrices of luma and chroma, as FFmpeg numbers them."""
_UNSPECIFIED: Final = 2
_HD_LINES: Final = 720
"""Lines from which a film without a matrix is taken for one of BT.709."""
_BITS: Final = 8
_TOLERANCE_SECONDS: Final = 0.1
"""Seconds by which a film may be longer than its frames."""
_DAMAGE: Final = re.compile(
    "invalid|corrupt|error|truncat|partial|premature|conceal|damage|missing picture", re.IGNORECASE
)
"""Words of those errors in FFmpeg's log that tell of damage, and not of a chapter without a name, for instance."""


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def frame_name(number: int) -> str:
    """Return the name of a frame's file, from 0."""
    return f"{number:06d}.png"


def extract(path: Path, base: Path, check: Callable[[], None] = lambda: None) -> tuple[FilmDescription, Path]:
    """Extract the frames of a film, unless they are there.

    Several processes may extract one film at the same time: each does so by itself, and the first that is ready wins.

    Args:
        path: the film.
        base: the folder for the frames of all films.
        check: called for each frame; an exception ends the work.

    Returns:
        The description, and the film's folder, which is named after its content.

    Raises:
        ImageError: the file is no film, is damaged, or is of a kind that is not supported.
        MachineError: PyAV is not installed.
        OSError: the film cannot be read, or the folder cannot be written.
    """
    sha256 = hash_of(path)
    folder = base / sha256[:32]
    found = _extracted(folder)
    if found is not None:
        return found, folder
    base.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(base)
    with tempfile.TemporaryDirectory(dir=base, prefix=_UNFINISHED, ignore_cleanup_errors=True) as temporary:
        unfinished = Path(temporary) / "frames"
        unfinished.mkdir()
        found = _Extraction(path, unfinished, sha256, check).run()
        _write(unfinished / DESCRIPTION, found.model_dump_json().encode(), path)
        if folder.exists() and _extracted(folder) is None:  # damaged
            folder.rename(Path(temporary) / "damaged")
        try:
            unfinished.rename(folder)
        except OSError:
            if _extracted(folder) is None:  # else another process was quicker
                raise
    return found, folder


def _extracted(folder: Path) -> FilmDescription | None:
    """Return the description of a film whose frames are all there; None if they must be extracted."""
    try:
        found = FilmDescription.model_validate_json((folder / DESCRIPTION).read_bytes())
        sizes = [(folder / frame_name(number)).stat().st_size for number in range(len(found.sizes))]
    except (FileNotFoundError, ValidationError):
        return None
    return found if sizes == list(found.sizes) else None


def _write(path: Path, data: bytes, film: Path) -> None:
    """Write a file durably, which nobody may read who may not read the film."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        sync(file.fileno(), path)
        os.fchmod(file.fileno(), film.stat().st_mode & 0o666 | 0o600)


def _remove_abandoned(base: Path) -> None:
    """Remove what killed processes have left."""
    for folder in base.glob(f"{_UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder)


class _Extraction:
    """The decoding of one film."""

    def __init__(self, path: Path, folder: Path, sha256: str, check: Callable[[], None]) -> None:
        self._path, self._folder, self._sha256, self._check = path, folder, sha256, check
        self._av = load_av()
        self._timestamps: list[int] = []
        self._sizes: list[int] = []
        self._warnings: dict[str, None] = {}
        self._aspect = Fraction(1)
        """Width of a pixel divided by its height."""
        self._size: tuple[int, int] | None = None
        self._messages: list[tuple[int, str, str]] = []
        """Errors in FFmpeg's log: level, part, text."""

    def run(self) -> FilmDescription:
        """See `extract`."""
        log = importlib.import_module("av.logging")
        level = log.get_level()
        log.set_level(log.ERROR)
        try:
            with (
                log.Capture(local=False) as self._messages,
                self._av.open(str(self._path), metadata_errors="replace") as container,
            ):
                return self._read(container)
        except self._av.error.FFmpegError as error:
            raise self._damaged(error.strerror) from error
        except ValueError as error:
            raise self._damaged(str(error)) from error
        finally:
            log.set_level(level)

    def _read(self, container: Any) -> FilmDescription:
        if not container.streams.video:
            raise ImageError(f"{self._path.name}: has no video stream.", "Name a film.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # a damaged frame is an error, not a grey picture
        self._aspect = Fraction(stream.sample_aspect_ratio or 1)
        if len(container.streams.video) > 1:
            self._warn(f"only the first of its {len(container.streams.video)} video streams is painted")
        for frame in container.decode(stream):
            self._check_messages()
            self._take(frame)
        self._check_messages()
        if not self._timestamps:
            raise ImageError(f"{self._path.name}: has no frames.", "Name a film.")
        self._check_duration(stream)
        return FilmDescription(
            sha256=self._sha256,
            time_base=str(Fraction(stream.time_base)),
            timestamps=tuple(self._timestamps),
            sizes=tuple(self._sizes),
            rate=str(Fraction(stream.average_rate or 25)),
            warnings=tuple(self._warnings),
        )

    def _damaged(self, reason: str) -> ImageError:
        done = len(self._timestamps)
        where = f"after {done} frames" if done else "before its first frame"
        return ImageError(
            f"{self._path.name}: cannot be read {where}: {reason}.",
            "Copy it again, or convert it with ffmpeg, which may repair it.",
        )

    def _check_messages(self) -> None:
        """Raise an error if FFmpeg has told of damage, after which it goes on with what it can make of the rest."""
        for _, _, text in self._messages:
            if _DAMAGE.search(text):
                raise self._damaged(text.strip())
        self._messages.clear()

    def _check_duration(self, stream: Any) -> None:
        """Raise an error if the frames end before the film does: the end of the file is missing."""
        if not stream.duration:
            return
        frame_seconds = float(1 / stream.average_rate) if stream.average_rate else 0.0
        end = (stream.start_time or 0) + stream.duration
        missing = float((end - self._timestamps[-1]) * stream.time_base) - frame_seconds
        if missing > max(_TOLERANCE_SECONDS, 2 * frame_seconds):
            raise self._damaged(f"the last {missing:.1f} s are missing")

    def _warn(self, text: str) -> None:
        self._warnings[f"{self._path.name}: {text}"] = None

    def _take(self, frame: Any) -> None:
        """Write a frame."""
        self._check()
        self._check_kind(frame)
        number, before = len(self._timestamps), self._timestamps[-1:]
        if frame.pts is None or (before and frame.pts <= before[0]):
            reason = "the times of its frames do not increase"
            raise ImageError(f"{self._path.name}: {reason}.", "Convert it to .mp4 or .mkv with ffmpeg.")
        pixels = self._upright(frame)
        size = pixels.shape[1], pixels.shape[0]
        self._size = self._size or size
        if size != self._size:
            sizes = f"{size[0]}×{size[1]} px, and those before {self._size[0]}×{self._size[1]} px"
            raise ImageError(f"{self._path.name}: frame {number} has {sizes}.", "Convert it to one size.")
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        _write(self._folder / frame_name(number), data, self._path)
        self._sizes.append(len(data))
        self._timestamps.append(frame.pts)

    def _check_kind(self, frame: Any) -> None:
        """Refuse what cannot be shown in sRGB, and warn of what is lost."""
        transfer = int(frame.color_trc)
        if transfer in _HDR:
            raise ImageError(
                f"{self._path.name}: is a film of high dynamic range ({_HDR[transfer]}).",
                "Convert it to SDR (BT.709) first.",
            )
        components = frame.format.components
        if any(component.is_alpha for component in components):
            self._warn("its transparency is left out")
        bits = max(component.bits for component in components)
        if bits > _BITS:
            self._warn(f"{bits} bits per channel are reduced to {_BITS}")

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        """Return the pixels of a frame, (H, W, 3), turned as its tag says, and with square pixels."""
        space = int(frame.colorspace)
        if space == _UNSPECIFIED:
            space = _BT709 if frame.height >= _HD_LINES else _BT601
        pixels = frame.to_ndarray(format="rgb24", src_colorspace=space, interpolation=EXACT)
        if self._aspect not in (0, 1):
            height, width = pixels.shape[:2]
            pixels = cv2.resize(pixels, (round(width * self._aspect), height), interpolation=cv2.INTER_AREA)
        turns = round(frame.rotation / 90) % 4  # counter-clockwise
        upright: NDArray[np.uint8] = np.ascontiguousarray(np.rot90(pixels, turns))
        return upright
