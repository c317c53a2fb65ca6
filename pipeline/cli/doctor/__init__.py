"""`impasto doctor`: check before a long run whether this machine and these folders can do the work.

`checks` runs `machine_checks` and `folder_checks`, whose results are `finding`s, and `command` prints them. Nothing is
rendered, and trial files are removed.

- *finding*: the result of a check: OK; WARN: work goes on, but not as well as it could; FAIL: work would stop.
"""
