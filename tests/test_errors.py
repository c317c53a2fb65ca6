"""Tests of passing errors between processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.errors import ExitCode, ImpastoError, IncompleteError, Interrupted, ManifestError, UsageError

SPECIAL: dict[type[ImpastoError], ImpastoError] = {
    ManifestError: ManifestError("jobs.csv", ["line 2: no style", "line 3: no content"]),
    IncompleteError: IncompleteError("It is truncated.", "Send it again.", Path("/in/a.jpg")),
    Interrupted: Interrupted(ExitCode.TERMINATED),
}


def kinds(base: type[ImpastoError]) -> list[type[ImpastoError]]:
    return [base, *(each for kind in base.__subclasses__() for each in kinds(kind))]


@pytest.mark.parametrize("kind", [kind for kind in kinds(ImpastoError) if kind.__module__ == errors.__name__])
def test_every_error_comes_whole_out_of_a_pipe(kind: type[ImpastoError]) -> None:
    error = SPECIAL.get(kind) or kind("It is wrong.", "Mend it.")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert (str(copy), copy.args) == (str(error), error.args)
    assert (copy.message, copy.remedy) == (error.message, error.remedy)


@pytest.mark.parametrize("kind", [kind for kind in kinds(ImpastoError) if kind not in {ManifestError, Interrupted}])
def test_no_name_in_a_message_commands_a_terminal_or_begins_a_line(kind: type[ImpastoError]) -> None:
    name = "a\x1b[2J\x9b\x07\nimpasto: all is well.\u202e\u2028\udcff.jpg"
    error = kind(f"{name}: is truncated.", f"Remove {name}.")
    for text in (error.message, error.remedy, str(error)):
        assert text.splitlines() == [text]
        assert not set("\x1b\x9b\x07\n\u202e\u2028\udcff") & set(text)


def test_each_problem_of_a_manifest_has_one_line() -> None:
    error = ManifestError("jobs\n.csv", ["line 2: a\nb", "line 3: c"])
    assert error.message.splitlines() == [
        "jobs\N{REPLACEMENT CHARACTER}.csv: 2 problems, nothing was rendered.",
        "  line 2: a\N{REPLACEMENT CHARACTER}b",
        "  line 3: c",
    ]


def test_as_text_an_error_is_one_line() -> None:
    several = ManifestError("t.csv", ["line 2: no\nsuch file", "line 3: no style"])
    assert str(several) == (
        "t.csv: 2 problems, nothing was rendered. line 2: no\N{REPLACEMENT CHARACTER}such file; line 3: no style"
    )
    assert str(UsageError("a: is wrong.", "Mend it.")) == "a: is wrong. Mend it."
