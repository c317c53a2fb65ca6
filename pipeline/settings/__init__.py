"""Settings: what config.toml, the environment, a manifest and the command line may set.

A setting is named `section.key`. A *source* is a place that sets some of them: weakest first the defaults, the config
file, the environment, the manifest's row, the command line. The values of a source are `Values`; values weaker than a
row are the *base values*, and values stronger than a row are the *overrides*. A *preset* stands for values that are a
little weaker than the values that its source sets itself.

- `pair_settings`: the sections that may differ from pair to pair (`PairSettings`)
- `run_settings`: the sections that hold for a whole run
- `all_settings`: both together (`Settings`), their keys, and errors in words
- `presets`, `resolve`: presets, and how sources are merged
- `api`: `Settings` for scripts, which `pipeline` exports

All other packages except `transfer` and `images` read settings; commands and manifests make them.
"""

from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings, Values

__all__ = ["PairSettings", "Settings", "Values"]
