"""The files of a pair to pictures in their working size.

The threads of a stage that load call it, and so does `pipeline.api`. `loader` reads and resizes, `inputs` are the files
or arrays of a pair, and a `loaded_pair` is all that the device needs.
"""
