"""Loaded pairs to images, on one device. The device's thread of a stage calls it, and so does `pipeline.api`.

`painter` owns the network on its device and paints batches. A `batch_run` goes down the ladder of fits when memory runs
out; `pair_progress` is the state of one of its pairs. `checkpoint` and `preview` write that state at every `interval`.
`result_cache` keeps results for other colour variants. `postprocess` turns the optimised image into the pixels of a
result; the threads that save call it.
"""
