"""Tests that stdout has only our lines, whatever libraries write; each claims the stdout of a process of its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.monitoring.stdio import print_result, protect_stdout, results

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ctypes finds the C library by None")

NOISY = """
    import ctypes, multiprocessing, os, subprocess, sys
    from pipeline.monitoring.stdio import print_result, protect_stdout, results

    def child():
        os.write(1, b"noise of a worker\\n")

    if __name__ == "__main__":
        print_result("before")
        protect_stdout()
        protect_stdout()
        os.write(1, b"noise of a system call\\n")
        ctypes.CDLL(None).puts(b"noise of a C library, in its buffer until the end")
        print("noise of a careless import")
        sys.__stdout__.write("noise by the back door\\n")
        print_result("of ours: é")
        subprocess.run([sys.executable, "-c", "print('noise of a program')"], check=True)
        worker = multiprocessing.get_context("spawn").Process(target=child)
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        print("by a library", file=results(), flush=True)
"""


def run_script(tmp_path: Path, text: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment = {**buffered, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, script], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False
    )


def test_what_others_write_goes_to_stderr(tmp_path: Path) -> None:
    done = run_script(tmp_path, NOISY)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before\nof ours: é\nby a library\n"
    noises = ("a system call", "a C library", "a careless import", "a program", "a worker")
    assert [noise for noise in noises if f"noise of {noise}" not in done.stderr] == []
    assert "noise by the back door" in done.stderr
    assert done.stderr.index("a careless import") < done.stderr.index("a program"), (
        "output of libraries reaches stderr at once, not only at the end"
    )


def test_a_reader_that_is_gone_is_told_once_and_spoils_no_exit_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run_script(
            tmp_path,
            """
            import sys
            from pipeline.monitoring.stdio import print_result, protect_stdout
            protect_stdout()
            try:
                print_result("to nobody")
            except BrokenPipeError:
                sys.stderr.write("told\\n")
            print_result("to nowhere")
            """,
            stdout=writing,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "told\n")


def test_without_any_stderr_noise_goes_nowhere(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import os
        from pipeline.monitoring.stdio import print_result, protect_stdout
        os.close(2)
        protect_stdout()
        os.write(1, b"noise\\n")
        print_result("ours")
        """,
    )
    assert (done.returncode, done.stdout) == (0, "ours\n")


def test_where_stdout_is_no_file_nothing_is_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    protect_stdout()
    print_result("a line")
    assert results() is sys.stdout
    assert capsys.readouterr() == ("a line\n", "")


def test_a_stdout_that_is_closed_swallows_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    protect_stdout()
    print_result("a line")
    assert results() is None


PIPELINE = Path(__file__).parents[2] / "pipeline"


ELSEWHERE = {"print": {"file"}, "echo": {"err", "file"}, "secho": {"err", "file"}, "Console": {"file", "stderr"}}
"""Functions that write to stdout, with the arguments that send their output elsewhere."""


def ways_to_stdout(source: str) -> list[str]:
    """Return the calls in a source that write to stdout, which reach stderr once stdout is claimed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout":
            found.append("sys.stdout")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).removeprefix("typer.").removeprefix("click.")
            if name in ELSEWHERE and not {keyword.arg for keyword in node.keywords} & ELSEWHERE[name]:
                found.append(name)
    return found


@pytest.mark.parametrize("source", ["print(1)", "typer.echo(x)", "Console(width=3)", "print(1, file=sys.stdout)"])
def test_every_way_to_stdout_is_found(source: str) -> None:
    assert len(ways_to_stdout(source)) == 1


def test_results_leave_by_say_alone() -> None:
    found = {
        path.relative_to(PIPELINE).as_posix(): ways
        for path in PIPELINE.rglob("*.py")
        if path != PIPELINE / "monitoring/stdio.py" and (ways := ways_to_stdout(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "only pipeline.monitoring.stdio.print_result writes to stdout"
