"""A run: a manifest, or one pair of a command line, from its rows to the outbox.

The order of work: `manifest` or `single_pair` makes pairs from the files that a user names, `plan` decides which pairs
are rendered, `forecast` predicts their time and memory, and `runner` sends them through the stage.

- *row*: one line of a manifest; it stands for each of its contents with each of its styles.
- *planned pair*: a pair with the action of a run on it (render, skip, still failed, wait) and the reason.
- *litter*: files and folders that are never taken from a folder or by a pattern, such as `Thumbs.db`.
- *evaluation*: one evaluation of the objective and its gradient, the unit in which time is planned.

`cli` calls this package. `watch` uses its rules for names and files, and reads tickets as manifests.
"""
