"""The files of a pair to pictures in their working size.

The threads of a stage that load call it, and so does `pipeline.api`. `loader` is the way of a pair. Its `inputs` are
files or arrays, of which the `photograph`, the `styles` and the mask are decoded. A frame also needs its `predecessor`
and the flow to it; `flows` are computed before they are needed. A `loaded_pair` is all that the device needs.
"""
