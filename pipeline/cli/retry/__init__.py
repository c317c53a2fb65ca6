"""`impasto retry`: have failed pairs and photographs tried again.

`requeue` forgets failures of an outbox and moves failed jobs back into their inbox; `command` prints what was done.
"""
