"""The one place that owns the devices: every pair of a run, of a watched inbox or of a proof is rendered here.

`run.runner` and `watch.watcher` call it; they get a `Stage` or a `StagePool` from `pool.stage_pool.make_stage`. `cli`
and `run` use `device` to examine the machine. `pipeline.api` uses the parts of a stage without its threads.

Words:
    task: a pair to be rendered, with its attempt, key and fence (`task`).
    outcome: the end of a task: the metadata of a published result, or the record of a failure (`task`).
    fence: a function of the caller that the stage calls just before it publishes a result, and that can refuse it.
    attempt: one attempt of a process to render a pair, counted on disk before it begins (`attempts`).
    batch: pairs of one size and equal settings that advance together on the device (`batching`).
    fit: how the evaluation of a batch is fitted into memory: whole, with recomputation, or in tiles (`device.memory`).
    checkpoint: the state of an optimisation on disk, from which a later process continues (`paint.checkpoint`).

An `executor` makes one call of `Stage.process`: the calling thread hands out tasks and takes back outcomes (`feeding`),
some threads `load`, one thread has the device and calls `paint`, and some threads `save`. Their shared parts are in
`resources`. A `pool` has a process with its own stage for each device, fed by the same loop.
"""
