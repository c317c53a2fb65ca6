"""Devices and their memory. Called by the stage, and by `cli` and `run` to check a machine and to forecast a run.

`devices` finds devices and their precision, `memory` decides how a pair is fitted into the memory of one (see there for
"fit", "ladder" and "rung"), `system_memory` asks the operating system, and `estimate` measures the time of evaluations.
"""
