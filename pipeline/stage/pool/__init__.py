"""Several devices, of this machine or of a cluster, as one stage. `run` and `watch` call `stage_pool.make_stage`.

`stage_pool` is the pool, which runs in the caller's process. A venue (`pipe_venue`, `ray_venue`) starts a seat for each
device. `process` runs in the process of a device. Both sides exchange `messages`. `crew` and `pool_call` decide what
becomes of seats that are lost, and of their pairs.
"""
