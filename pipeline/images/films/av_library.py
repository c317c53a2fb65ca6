"""PyAV, which is an extra."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

from pipeline.errors import MachineError

EXACT: Final = 0x42004
"""Conversion between YUV and RGB: FFmpeg's flags for bicubic, exactly rounded, with chroma at full size. The default is
off by more than a level on average."""
INSTALL: Final = "pip install 'impasto[video]'"
REINSTALL: Final = "Install the one from PyPI, which has it: pip install --force-reinstall --no-deps av"


def has_av() -> bool:
    """Whether PyAV is installed."""
    spec = importlib.util.find_spec("av")
    return spec is not None and spec.origin is not None  # a mere folder of this name has no origin


def load_av() -> Any:
    """Return the module `av`.

    Raises:
        MachineError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise MachineError("Films need PyAV, which is not installed.", f"{INSTALL}.") from error
