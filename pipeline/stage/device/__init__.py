"""Devices and their memory. The stage calls it; so do `cli` and `run`, to check a machine and to forecast a run.

`devices` finds devices and their precision, `memory` decides how a pair is fitted into a device's memory and defines
"fit", "ladder" and "rung", `system_memory` asks the operating system, and `estimate` measures the time of evaluations.
"""
