"""How much damage to picture files is read without a word.

python -m tests.benchmarks.damage --files 10000

The script damages PNG, JPEG, WebP and TIFF files in one place: a bit is flipped, a range is overwritten by zeros,
removed or doubled, or the file is cut. A lenient decoder shows whether the picture is another one then: whether more
than 1 % of the pixels differ, or nothing can be decoded. Of these files the script counts those that impasto reads
without an error and without a warning, while its own picture differs by more than 1 % as well. Equal seeds give equal
files, so that two versions of impasto can be compared.
"""

from __future__ import annotations

import argparse
import io
import os
import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np
from PIL import Image, ImageFile

from pipeline.errors import ImageError
from pipeline.images.decode import decode
from pipeline.images.files import SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PHOTOGRAPHS: Final = Path(__file__).parents[2] / "data" / "content"
SIZE: Final = (192, 144)
DIFFERENT: Final = 0.01
"""Share of the pixels above which a picture counts as another one."""
MAX_PIXELS: Final = 1_000_000
"""Limit of the size of a damaged picture, which a damaged header may claim."""
LEVELS: Final = 1.5
"""Largest difference of a pixel, in levels of 255, that counts as none: rounding."""


@dataclass(frozen=True)
class Original:
    """A file to damage."""

    format: str
    kind: str
    data: bytes


def originals() -> list[Original]:
    """Return pictures in the formats, in several kinds of each."""
    found = []
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        with Image.open(path) as image:
            small = image.convert("RGB").resize(SIZE)
        pixels = np.asarray(small)
        deep = pixels.astype(np.uint16) * 257
        found += [
            Original("PNG", "RGB", _saved(small, "PNG")),
            Original("PNG", "palette", _saved(small.quantize(256), "PNG")),
            Original("PNG", "16 bits", bytes(imagecodecs.png_encode(deep))),
            Original("JPEG", "baseline", _saved(small, "JPEG", quality=90)),
            Original("JPEG", "progressive", _saved(small, "JPEG", quality=90, progressive=True)),
            Original("JPEG", "restart markers", _saved(small, "JPEG", quality=90, restart_marker_rows=1)),
            Original("WebP", "lossy", _saved(small, "WEBP", quality=90)),
            Original("WebP", "lossless", _saved(small, "WEBP", lossless=True)),
            Original("TIFF", "uncompressed", _saved(small, "TIFF")),
            Original("TIFF", "LZW", _saved(small, "TIFF", compression="tiff_lzw")),
            Original("TIFF", "deflate", _saved(small, "TIFF", compression="tiff_adobe_deflate")),
            Original("TIFF", "JPEG", _saved(small, "TIFF", compression="jpeg", quality=90)),
        ]
    return found


def _saved(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _range(data: bytes, chance: random.Random) -> slice:
    """Return a range of 4 bytes to a quarter of the file, short ones as often as long ones."""
    length = min(len(data) // 4, round(4 * 2 ** chance.uniform(0, 10)))
    begin = chance.randrange(len(data) - length)
    return slice(begin, begin + length)


def flip(data: bytes, chance: random.Random) -> bytes:
    """Flip one bit."""
    damaged = bytearray(data)
    damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def zero(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a range by zeros."""
    where = _range(data, chance)
    return data[: where.start] + bytes(where.stop - where.start) + data[where.stop :]


def cut(data: bytes, chance: random.Random) -> bytes:
    """Cut the file."""
    return data[: chance.randrange(1, len(data))]


def double(data: bytes, chance: random.Random) -> bytes:
    """Repeat a range."""
    where = _range(data, chance)
    return data[: where.stop] + data[where.start :]


def remove(data: bytes, chance: random.Random) -> bytes:
    """Remove a range."""
    where = _range(data, chance)
    return data[: where.start] + data[where.stop :]


MUTATIONS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "bit flipped": flip,
    "range zeroed": zero,
    "cut": cut,
    "range doubled": double,
    "range removed": remove,
}


def pixels_of(data: bytes) -> np.ndarray | None:
    """Return the pixels (H, W, 3) that a lenient decoder finds; None if it finds none."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"), np.float32) if image.width * image.height <= MAX_PIXELS else None
    except Exception:  # noqa: BLE001 - whatever it raises, there is no picture
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def differ(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether pictures differ in more than `DIFFERENT` of their pixels."""
    if one is None or other is None or one.shape != other.shape:
        return True
    return bool((np.abs(one - other).max(axis=2) > LEVELS).mean() > DIFFERENT)


@dataclass
class Tally:
    """Files of one kind that show another picture."""

    differing: int = 0
    refused: int = 0
    warned: int = 0
    silent: int = 0


def measure(count: int, seed: int) -> dict[tuple[str, str, str], Tally]:
    """Damage files, and count what is said about them, by format, kind and mutation."""
    chance, seeds = random.Random(seed), originals()  # noqa: S311 - no secret
    lenient = [pixels_of(each.data) for each in seeds]
    own = [_read(each.data)[0] for each in seeds]
    found: dict[tuple[str, str, str], Tally] = {}
    for number in range(count):
        at = number % len(seeds)
        name, mutation = chance.choice(list(MUTATIONS.items()))
        data = mutation(seeds[at].data, chance)
        tally = found.setdefault((seeds[at].format, seeds[at].kind, name), Tally())
        if not differ(pixels_of(data), lenient[at]):
            continue
        tally.differing += 1
        picture, is_warned = _read(data)
        if picture is None:
            tally.refused += 1
        elif is_warned:
            tally.warned += 1
        elif differ(picture, own[at]):
            tally.silent += 1
    return found


def _read(data: bytes) -> tuple[np.ndarray | None, bool]:
    """Return the pixels that impasto reads, if any, and whether it warns."""
    try:
        picture = decode(SourceFile(Path("a"), data, ""), max_pixels=MAX_PIXELS)
    except ImageError:
        return None, False
    return picture.pixels, bool(picture.warnings)


def table(found: dict[tuple[str, str, str], Tally]) -> list[str]:
    """Return the lines of a table: the share that is read without a word, and the counts, by format and mutation."""
    lines = [f"{'format':<24}" + "".join(f"{each:>20}" for each in (*MUTATIONS, "all"))]
    totals: Counter[str] = Counter()
    for image_format, kind in dict.fromkeys((each[0], each[1]) for each in found):
        cells = [found.get((image_format, kind, each), Tally()) for each in MUTATIONS]
        silent, differing = sum(each.silent for each in cells), sum(each.differing for each in cells)
        totals["silent"] += silent
        totals["differing"] += differing
        row = [*((each.silent, each.differing) for each in cells), (silent, differing)]
        lines.append(f"{f'{image_format}, {kind}':<24}" + "".join(f"{_share(*each):>20}" for each in row))
    warned = sum(each.warned for each in found.values())
    refused = sum(each.refused for each in found.values())
    lines.append(
        f"without a word: {_share(totals['silent'], totals['differing'])}; with a warning: {warned}; refused: {refused}"
    )
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part}/{whole})" if whole else "-"


@contextmanager
def _without_messages() -> Iterator[None]:
    """Send the messages that libtiff and libpng write themselves to nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description="how much damage is read without a word")
    parser.add_argument("--files", type=int, default=10_000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with _without_messages():
        found = measure(options.files, options.seed)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
