"""Tests of `impasto report` as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from tests.outbox.report.samples import add_failure, add_result, write

if TYPE_CHECKING:
    from pathlib import Path


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


def test_says_where_the_page_is_and_what_is_on_it(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png", warnings=["dark"])
    add_failure(tmp_path, "b")
    result = report(tmp_path)
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}/index.html: 1 done, 1 failed, 0 damaged, 1 with warnings\n"
    assert (tmp_path / "index.html").is_file()


def test_json_is_one_object(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    result = report(tmp_path, "--json")
    assert json.loads(result.stdout) == {
        "event": "report",
        "path": f"{tmp_path}/index.html",
        "done": 1,
        "failed": 0,
        "damaged": 0,
        "with_warnings": 0,
        "pairs_per_hour": 360.0,
        "started": "2026-03-01T22:00:00+00:00",
        "finished": "2026-03-01T22:00:10+00:00",
        "thumbnails_made": 1,
    }


def test_a_folder_that_is_no_outbox_is_a_usage_error(tmp_path: Path) -> None:
    result = report(tmp_path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "no outbox of impasto" in result.stderr


def test_somebody_elses_page_stays_as_it_is(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    write(tmp_path / "index.html", b"<p>mine")
    result = report(tmp_path)
    assert result.exit_code == 4
    assert "was not written by impasto report" in result.stderr
    assert (tmp_path / "index.html").read_bytes() == b"<p>mine"


def test_a_table_ends_with_csv(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    result = report(tmp_path, "--table", tmp_path / "all.csv")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{tmp_path}/all.csv: the table"
    assert json.loads(report(tmp_path, "--table", tmp_path / "all.csv", "--json").stdout)["table"].endswith("/all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 2
    wrong = report(tmp_path, "--table", tmp_path / "a.png")
    assert wrong.exit_code == 2
    assert "must end with .csv" in wrong.stderr
    assert not (tmp_path / "a.png").read_bytes().startswith(b"file,")
