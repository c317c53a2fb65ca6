"""Picture files to pixels, pixels to picture files, and the processing of pictures apart from the optimisation.

`pipeline.stage` decodes photographs and paintings and encodes results with this package; `run`, `watch`, `cli` and
`outbox` use single modules. Of impasto it imports only `pipeline.errors`.

From a file to pixels: `files` (read once, hashed) → `formats` (the table of formats; format by content) → `header`
(size and tags before decoding) → `integrity` (whether the file is whole) → `decode`, by way of `decode_pillow` or
`decode_imagecodecs` → `decoded` (orientation, conversion to sRGB) → `picture`. From pixels to a file: `resize`,
`upscale`, `encode`. `from_array` makes pictures of a program's arrays.

Words: *pixels* are (H, W, 3) float32, sRGB, 0–255, not rounded; *samples* are a file's own integers; a *plane* is one
value per pixel; *bits* are bits per channel; *tags* are EXIF, XMP and resolution.
"""
