"""Starts `impasto` many times without importing torch each time: reads command lines as JSON, forks, prints the PID.

One thread is used for computing, since a fork does not take threads along.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import pipeline.stage.stage
import pipeline.watch.service
from pipeline.cli.main import app
from pipeline.transfer import weights
from pipeline.transfer.weights import find_weights, load_weights

torch.set_num_threads(1)
network = load_weights(find_weights("packaged"))
pipeline.stage.stage.load_weights = lambda _: network
weights.load_weights = lambda _: network
print("ready", flush=True)  # noqa: T201 - the parent process reads this line
for line in sys.stdin:
    command = json.loads(line)
    pid = os.fork()
    if pid == 0:
        log = os.open(Path(command["log"]), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 70
        try:
            app(command["arguments"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            os._exit(code)
    print(pid, flush=True)  # noqa: T201
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
