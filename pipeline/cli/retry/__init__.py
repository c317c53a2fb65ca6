"""`impasto retry`: have failed pairs and photographs tried again.

`requeue` removes failure records from an outbox and moves failed jobs back into their inbox; `command` prints the
actions.
"""
