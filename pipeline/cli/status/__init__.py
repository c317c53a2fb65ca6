"""`impasto status`: the state of an outbox or an inbox at the moment.

`survey` finds out which of the two a folder is, `outbox` and `inbox` survey it, and `command` prints the survey.
`retry` uses surveys, too.

- *survey*: numbers of files and jobs, the runs or watchers, and the last errors.
"""
