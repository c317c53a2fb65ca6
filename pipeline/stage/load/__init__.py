"""The files of a pair to pictures in their working size.

Called by the threads of a stage that load, and by `pipeline.api`. `loader` reads and resizes, `inputs` are the files or
arrays that a pair is made of, and a `loaded_pair` is all that the device needs.
"""
