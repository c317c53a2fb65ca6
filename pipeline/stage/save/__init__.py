"""Results to files in the outbox. The threads of a stage that save call it, and `pipeline.api` encodes with it.

`saver` encodes and publishes, and `rendering_record` describes how a result was made.
"""
