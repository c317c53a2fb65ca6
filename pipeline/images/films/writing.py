"""Painted frames to a film, with the times, the sound, the subtitles, the tags and the chapters of the original."""

from __future__ import annotations

import errno
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal

from PIL import Image

from pipeline.errors import ImageError, MachineError
from pipeline.images.films.av_library import EXACT, REINSTALL, load_av

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.images.films.description import FilmDescription

logger = logging.getLogger(__name__)

Codec = Literal["h264", "ffv1", "none"]
"""Codec of a painted film; `none`: there is no film, only frames."""

_OPTIONS: Final = {
    # Without mbtree, equal frames become equal bytes.
    "h264": {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"},
    "ffv1": {"level": "3", "g": "1"},
}
_ENCODERS: Final = {"h264": "libx264", "ffv1": "ffv1"}
_OWN_CONTAINERS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv"})
"""Endings of containers that take H.264; others become .mkv, which takes everything."""
_BT709: Final = 1
_LIMITED: Final = 1
_COPIED: Final = ("audio", "subtitle")
_OF_THE_FILE: Final = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""Tags of a film that describe its file, and are not copied."""
_OF_A_STREAM: Final = frozenset({"language", "title"})
"""Tags of sound and subtitles that are copied."""
_OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Errors of the disk on which the film is written, which other films would meet, too."""


def ending_of_film(source: Path, codec: Codec) -> str:
    """Return the ending of the painted film's name; empty if there is no film."""
    if codec == "none":
        return ""
    ending = source.suffix.lower()
    return ending if codec == "h264" and ending in _OWN_CONTAINERS else ".mkv"


def check_encoder(codec: Codec) -> None:
    """Check that films can be encoded, before hours are spent on their frames.

    Raises:
        MachineError: PyAV is not installed, or its FFmpeg was built without the encoder.
    """
    if codec == "none":
        return
    av = load_av()
    try:
        av.codec.Codec(_ENCODERS[codec], "w")
    except ValueError as error:
        raise MachineError(
            f"sequence.film = {codec}: this PyAV was built without the encoder {_ENCODERS[codec]}.",
            f"{REINSTALL}, or use --set sequence.film=ffv1 or none.",
        ) from error


def write_film(  # noqa: PLR0913, PLR0917 - what a film is made of
    target: Path,
    frames: Sequence[Path],
    description: FilmDescription,
    source: Path,
    codec: Codec,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write a film, with the original's tags and chapters. Sound and subtitles are copied, packet by packet.

    What cannot be copied is left out with a warning.

    Args:
        target: path of the film, whose ending names the container.
        frames: the painted frames, of one size.
        description: the original's description.
        source: the original.
        codec: `h264`, which every player shows, or `ffv1`, which loses nothing.
        check: called before each frame; an exception ends the work.

    Raises:
        ImageError: the original cannot be read any more, or FFmpeg cannot write such a film, or any.
        MachineError: PyAV is not installed.
        OSError: the film cannot be written.
    """
    av = load_av()
    try:
        check_encoder(codec)
    except MachineError as error:
        raise ImageError(f"{source.name}: {error.message}", error.remedy) from error
    for copies in (True, False):
        try:
            _Writing(av, target, frames, description, source, codec).run(check, copies=copies)
        except av.error.FFmpegError as error:
            if error.errno in _OF_THE_DISK:
                raise OSError(error.errno, error.strerror, str(target)) from error
            if not copies or isinstance(error, FileNotFoundError):
                raise ImageError(
                    f"{source.name}: the painted film cannot be written: {error.strerror}.",
                    'Look whether the original is still there, or use --set sequence.film=ffv1 or "none".',
                ) from error
            logger.warning(
                "%s: sound, subtitles, tags and chapters cannot be copied into a %s (%s) and are left out.",
                source.name, target.suffix, error.strerror,
            )  # fmt: skip
        else:
            return


class _Writing:
    """The writing of one film."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a film is made of
        self,
        av: Any,
        target: Path,
        frames: Sequence[Path],
        description: FilmDescription,
        source: Path,
        codec: Codec,
    ) -> None:
        self._av, self._target, self._frames, self._source = av, target, frames, source
        self._description, self._codec = description, codec
        self._copied: dict[int, Any] = {}
        """Copied streams, by index of the original's."""

    def run(self, check: Callable[[], None], *, copies: bool) -> None:
        """See `write_film`; with `copies`, sound and subtitles are copied."""
        bitexact = {"fflags": "+bitexact"}
        with (
            self._av.open(str(self._source), metadata_errors="replace") as original,
            self._av.open(str(self._target), "w", container_options=bitexact) as output,
        ):
            video = self._add_video(output)
            self._copied = self._add_copied(original, output) if copies else {}
            if copies:
                output.metadata.update({k: v for k, v in original.metadata.items() if k.lower() not in _OF_THE_FILE})
                output.set_chapters(original.chapters())
            colours = {"dst_colorspace": _BT709, "dst_color_range": _LIMITED} if self._codec == "h264" else {}
            unit = self._description.unit
            packets = _Waiting(self._packets(original))
            for path, timestamp in zip(self._frames, self._description.timestamps, strict=True):
                check()
                output.mux(packets.until(float(timestamp * unit)))
                with Image.open(path) as picture:
                    frame = self._av.VideoFrame.from_image(picture.convert("RGB"))
                frame = frame.reformat(format=video.pix_fmt, interpolation=EXACT, **colours)
                frame.pts, frame.time_base = timestamp, unit
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
            output.mux(packets.until(float("inf")))

    def _add_video(self, output: Any) -> Any:
        with Image.open(self._frames[0]) as first:
            width, height = first.size
        rate = Fraction(self._description.rate)
        video = output.add_stream(_ENCODERS[self._codec], rate=rate, options=_OPTIONS[self._codec])
        video.width, video.height = width, height
        video.pix_fmt = self._pixel_format(width, height)
        video.time_base = video.codec_context.time_base = self._description.unit
        if self._codec == "h264":
            context = video.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED
        return video

    def _pixel_format(self, width: int, height: int) -> str:
        if self._codec == "ffv1":
            return "bgr0"
        if width % 2 == height % 2 == 0:
            return "yuv420p"
        logger.warning(
            "%s: of %d×%d px; some players do not show H.264 with an odd side.", self._source.name, width, height
        )
        return "yuv444p"  # halved chroma needs even sides

    def _add_copied(self, original: Any, output: Any) -> dict[int, Any]:
        copied = {}
        for stream in original.streams:
            if stream.type not in _COPIED:
                continue
            try:
                copy = copied[stream.index] = output.add_stream_from_template(stream)
                copy.metadata.update({k: v for k, v in stream.metadata.items() if k.lower() in _OF_A_STREAM})
            except (ValueError, TypeError) as error:
                logger.warning(
                    "%s: its %s stream (%s) cannot be in a %s and is left out: %s",
                    self._source.name, stream.type, stream.codec.name, self._target.suffix, error,
                )  # fmt: skip
        return copied

    def _packets(self, original: Any) -> Iterator[tuple[float, Any]]:
        """Yield the packets to copy, in their order, with their times in seconds."""
        streams = [original.streams[index] for index in self._copied]
        for packet in original.demux(streams) if streams else ():
            if packet.dts is not None:  # the last packet of each stream is empty
                seconds = float(packet.dts * packet.time_base)
                packet.stream = self._copied[packet.stream.index]
                yield seconds, packet


class _Waiting:
    """Packets that wait for their time."""

    def __init__(self, packets: Iterator[tuple[float, Any]]) -> None:
        self._packets = packets
        self._next = next(packets, None)

    def until(self, seconds: float) -> list[Any]:
        """Return the packets up to a time."""
        found = []
        while self._next is not None and self._next[0] <= seconds:
            found.append(self._next[1])
            self._next = next(self._packets, None)
        return found
