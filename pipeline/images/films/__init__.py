"""Films: read into frames, and written from painted frames with the sound and the timing of the original.

PyAV (FFmpeg) does the work. It is an extra, `impasto[video]`, and imported only when a manifest names a film.
"""
