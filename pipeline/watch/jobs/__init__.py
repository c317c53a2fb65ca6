"""Claimed jobs: their pairs, their tasks for the stage, and their ends. The threads of a watcher call it.

- `queue`: jobs on their way from the thread that scans to the thread that renders.
- `open_job`: what is known of a job in memory.
- `job_pairs`: from a job's files to its pairs.
- `result_names`: the names of the pairs' results in the outbox.
- `lifecycle`: from pairs to tasks, and from outcomes back to the job.
- `in_stage`: the pairs that are in the stage.
- `changes`: whether a job's files were written to.
- `endings`: a job is retired, quarantined or put back.
- `decisions`: what comes next, from the states of the pairs alone, so that a restart decides in the same way.
"""
