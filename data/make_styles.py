"""Paint the sample paintings: `python data/make_styles.py [NAME …]` writes data/styles/*.jpg in about a minute.

All random numbers are seeded, so the script always paints the same pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
from painters.harbour import harbour
from painters.harvest import harvest
from painters.nocturne import nocturne
from painters.pines import pines

PAINTINGS = {"harbour": harbour, "harvest": harvest, "nocturne": nocturne, "pines": pines}
QUALITY = 90


def main() -> None:
    """Paint the paintings that are named on the command line, or all."""
    for name in sys.argv[1:] or PAINTINGS:
        path = Path(__file__).parent / f"styles/{name}.jpg"
        cv2.imwrite(str(path), PAINTINGS[name]()[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        print(path.name, path.stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
