"""Several devices of one machine as one stage. `run` and `watch` call it, through `stage_pool.make_stage`.

`stage_pool` is the pool, which runs in the caller's process and has a `process_handle` for each device. `process` runs
in the process of a device. Both sides exchange `messages`.
"""
