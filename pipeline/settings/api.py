"""`Settings` for scripts: those of config.toml, by name, with presets as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.settings import all_settings
from pipeline.settings.base import Section
from pipeline.settings.resolve import from_assignments, merge

if TYPE_CHECKING:
    from pipeline.settings.pair_settings import Values


class Settings(all_settings.Settings):
    """Everything in config.toml; a setting that is not given has its default.

    A preset stands for its values, and settings given together with it override them, as on the command line. Neither
    a config file nor the environment is read.

    >>> Settings(image={"size": 256}, pyramid={"quality": "draft"}).pyramid.planned
    (20, 20, 20, 10, 6)
    >>> Settings({"image.size": 256, "objective.style_weight": 30}, preset="gatys2016").colour.mode
    'none'
    >>> Settings({"image.sice": 256})
    Traceback (most recent call last):
    pipeline.errors.UsageError: settings: image.sice: there is no such setting. Did you mean image.size?
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        preset: str | None = None,
        **sections: Mapping[str, Any] | Section,
    ) -> None:
        """Validate values.

        Args:
            values: settings by `section.key`, or as a config file has them: `{section: {key: value}}`.
            preset: `painting` (the default), `portrait`, `colour-preserving`, `gatys2016`, `luminance` or
                `pytorch-tutorial`.
            **sections: `{key: value}`, or a section of another `Settings`, from which the values that were set count.

        Raises:
            UsageError: names every value that is wrong.
        """
        named = {**(values or {}), **({} if preset is None else {"preset": preset}), **sections}
        lowest = {name: value for name, value in named.items() if name == "preset"}  # weaker than settings beside it
        try:
            super().__init__(**merge(lowest, *(_as_source(*each) for each in named.items())))
        except ValidationError as error:
            raise UsageError([f"settings: {line}" for line in all_settings.explain(error)]) from error


def _as_source(name: str, value: Any) -> Values:
    if name == "preset":
        return {}
    if isinstance(value, Section):
        value = value.model_dump(exclude_unset=True)
    return from_assignments({name: dict(value) if isinstance(value, Mapping) else value})
