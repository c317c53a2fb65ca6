"""A run: a manifest, or one pair of a command line, from its rows to the outbox.

The order of work: `manifest` or `single_pair` makes pairs of what a user named, `plan` decides what is done with each
pair, `forecast` tells beforehand what that takes, and `runner` sends what is left through the stage.

- *row*: one line of a manifest; it stands for every content that it names × every style.
- *planned pair*: a pair with the action that a run takes on it, and why: render, skip, still failed, wait.
- *litter*: files and folders that are never taken from a folder or by a pattern, such as `Thumbs.db`.
- *evaluation*: one evaluation of the objective and its gradient, the unit in which time is planned.

`cli` calls this package. `watch` uses its rules for names and files, and reads tickets as manifests.
"""
