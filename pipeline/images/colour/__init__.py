"""Colours of pictures: profiles of files, luma and chroma, and the modes that decide whose colours a result has.

`pipeline.images.decode` and `encode` use `icc`. `pipeline.stage` uses `modes`, which uses `luma_chroma` and `matching`.

Words: *luma* is Y and *chroma* U and V of BT.601; a *mode* is a value of the setting `colour.mode`; the *preparation*
changes colours before the optimisation, the *finish* after it.
"""
