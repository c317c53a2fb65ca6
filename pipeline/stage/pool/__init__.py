"""Several devices of one machine as one stage. Called by `run` and `watch`, through `stage_pool.make_stage`.

`stage_pool` is the pool, which runs in the caller's process and has a `worker` for each device. `process` is what runs
in the process of a device. Both sides talk by `messages`.
"""
