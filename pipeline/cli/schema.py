"""`impasto schema`: the JSON Schema of the metadata."""

from __future__ import annotations

import json

from pipeline.monitoring.stdio import print_result


def schema_command() -> None:
    """Print the JSON Schema of the metadata beside every result.

    Example: impasto schema > impasto.schema.json
    """
    from pipeline.outbox.metadata import json_schema

    print_result(json.dumps(json_schema(), indent=2))
