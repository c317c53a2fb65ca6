"""Tests that stderr has only JSON where the log is JSON, whatever libraries write; each runs in its own process."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.monitoring.stdio import noise_to_log
from tests.monitoring.test_stdio import run_script

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that can be waited for")

NOISY = """
    import ctypes, logging, multiprocessing, os, sys, warnings
    from pipeline.monitoring.logs import logging_to_stderr
    from pipeline.monitoring.stdio import print_result, protect_stdout

    def child():
        os.write(1, b"noise of a worker\\n")

    if __name__ == "__main__":
        protect_stdout()
        with logging_to_stderr("json"):
            os.write(2, b"noise of a system call\\nand one more\\n\\n")
            ctypes.CDLL(None).puts(b"noise of a C library, in its buffer until the end")
            print("noise of a careless module")
            print("noise on stderr", file=sys.stderr)
            print_result("ours")
            warnings.warn("a warning of Python")
            worker = multiprocessing.get_context("spawn").Process(target=child)
            worker.start()
            worker.join()
            logging.getLogger("pipeline.x").info("ours")
            os.write(2, b"x" * 300_000 + b"\\n\\xff no end")
        sys.stderr.write("afterwards\\n")
"""


def test_all_that_is_on_stderr_is_json(tmp_path: Path) -> None:
    done = run_script(tmp_path, NOISY)
    assert (done.returncode, done.stdout) == (0, "ours\n")
    *lines, last = done.stderr.splitlines()
    assert last == "afterwards"
    told = [json.loads(line) for line in lines]
    noise = [line["message"] for line in told if line["event"] == "output"]
    expected = {f"noise of {each}" for each in ("a system call", "a careless module", "a worker")}
    assert expected | {"and one more", "noise on stderr"} <= set(noise)
    assert noise[-1].endswith("\N{REPLACEMENT CHARACTER} no endnoise of a C library, in its buffer until the end")
    messages = [line["message"] for line in told]
    assert sum(message.count("xx") * 2 for message in messages) >= 299_990
    assert max(map(len, messages)) < 100_000, "a line without an end is cut, so that it does not fill the memory"
    others = [line["message"] for line in told if line["event"] != "output"]
    assert len(others) == 2
    assert "a warning of Python" in others[0]
    assert others[1] == "ours"


def test_a_burst_that_nobody_can_read_keeps_nobody_waiting(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import ctypes
        from pipeline.monitoring.logs import logging_to_stderr
        from pipeline.monitoring.stdio import protect_stdout

        protect_stdout()
        with logging_to_stderr("json"):
            write = ctypes.PyDLL(None).write  # keeps the interpreter from switching threads
            for _ in range(40):
                write(2, b"y" * 99_999 + b"\\n", 100_000)
        """,
    )
    assert done.returncode == 0
    assert all(line.startswith('{"time"') for line in done.stderr.splitlines())


def test_a_log_that_nobody_reads_any_more_ends_nothing(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import logging, os, time
        from pipeline.monitoring.logs import logging_to_stderr
        from pipeline.monitoring.stdio import print_result, protect_stdout

        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 2)
        protect_stdout()
        told = []
        logging.getLogger("pipeline.monitoring.stdio").addFilter(lambda record: told.append(record) or True)
        with logging_to_stderr("json"):
            for _ in range(3):
                logging.getLogger("pipeline.x").warning("to nobody")
            os.write(2, b"noise\\n")
            time.sleep(0.05)
        print_result(f"{len(told)}")
        """,
    )
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_where_stderr_is_no_file_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with noise_to_log(of_stdout=True) as real:
        assert real is None
        print("as ever", file=sys.stderr)  # noqa: T201
    assert capsys.readouterr() == ("", "as ever\n")
