"""Results to files in the outbox. Called by the threads of a stage that save; `pipeline.api` encodes with it.

`saver` encodes and publishes, and `rendering_record` writes down how a result was made.
"""
