"""Claimed jobs: their pairs, their tasks for the stage, and their ends. The threads of a watcher call this package.

- `queue`: jobs between the thread that scans and the thread that renders.
- `open_job`: the data of a job in memory.
- `job_pairs`: from a job's files to its pairs.
- `result_names`: the names of the pairs' results in the outbox.
- `lifecycle`: from pairs to tasks, and from outcomes back to the job.
- `in_stage`: the pairs that are in the stage.
- `changes`: whether a job's files were written to.
- `endings`: the ends of a job, which is retired (archived, deleted or returned), quarantined or put back.
- `decisions`: the next step of a job, from the states of its pairs alone, so that a restart decides in the same way.
"""
