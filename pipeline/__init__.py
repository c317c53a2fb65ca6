"""impasto: batch neural style transfer that gives every photograph its own colours back.

Scripts use `stylise` and its `Settings`. These names are imported at their first use, because torch is slow to import.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# torch reads this when it first allocates: large tensors are put on huge pages. Otherwise Linux clears each tensor in
# pages of 4 KB, which takes up to five times as long as the pooling or masking that fills the tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from pipeline.api import Stylisation, stylise
    from pipeline.errors import ImpastoError
    from pipeline.settings.api import Settings
    from pipeline.transfer.state import Evaluation

__all__ = ["Evaluation", "ImpastoError", "Settings", "Stylisation", "stylise"]

_MODULES = {
    "Evaluation": "pipeline.transfer.state",
    "ImpastoError": "pipeline.errors",
    "Settings": "pipeline.settings.api",
    "Stylisation": "pipeline.api",
    "stylise": "pipeline.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
