"""The one place that owns the device: every pair of a run, of a watched inbox or of a proof is rendered here.

Called by `run.runner` and by `watch.watcher`, which get a `Stage` or a `StagePool` from `pool.stage_pool.make_stage`.
`cli` and `run` ask `device` what the machine is like. `pipeline.api` uses the parts of a stage without its threads.

Words:
    task: a pair to be rendered, with its attempt, key and fence (`task`).
    outcome: the end of a task: the metadata of a published result, or the record of a failure (`task`).
    fence: a function of the caller that refuses a result which is no longer wanted, called just before publishing.
    attempt: one try of a process at a pair, counted on disk before it begins (`attempts`).
    batch: pairs of one size and equal settings that advance together on the device (`batching`).
    fit: how the evaluation of a batch is fitted into memory: whole, with recomputation, or in tiles (`device.memory`).
    checkpoint: the state of an optimisation on disk, from which a later process continues (`paint.checkpoint`).

A call of `Stage.process` is an `executor`: the calling thread hands out tasks and takes outcomes back (`feeding`), some
threads `load`, one has the device and calls `paint`, and some `save`. What they share is in `resources`. A `pool` has a
process with a stage of its own for each device, fed by the same loop.
"""
