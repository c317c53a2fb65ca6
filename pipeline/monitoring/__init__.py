"""The observers of a command's work: displays, logs, metrics, hooks and records (see `pipeline.run.observer`).

- `progress`, `progress_bars`: what a person sees on stderr.
- `console`: results on stdout.
- `logs`: the log, as lines for people or as JSON for programs.
- `metrics`: a file for Prometheus.
- `hooks`: the user's programs.
- `run_record`, `live_report`: the outbox's record of the run, and its report.
- `observers`: passes every event on to all of them, and keeps their errors from the work.
- `timer`: calls a function at regular intervals.
- `stdio`: keeps stdout for results, and stderr for the log.

The commands in `pipeline.cli` put them together; nothing else imports this package.
"""
