"""Loaded pairs to images, on one device. Called by the device's thread of a stage, and by `pipeline.api`.

`painter` owns the network on its device and paints batches. A `batch_run` goes down the ladder of fits when memory runs
out; `pair_progress` is the state of one of its pairs. `checkpoint` and `preview` write that state now and then, as an
`interval` says. `result_cache` keeps results for other colour variants. `postprocess` turns the optimised image into
the pixels of a result; the threads that save call it.
"""
