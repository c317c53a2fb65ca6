"""Metadata of picture files: EXIF, XMP and resolution, copied from a photograph to its result.

`tags` decides what a result keeps; `pipeline.images.header` and the saver of `pipeline.stage` call it. `ifd` reads and
writes TIFF directories, also for the headers of TIFF files; `xmp` cuts properties out of XMP packets.

Words: an *IFD* is a TIFF directory, a table of entries; *IFD0* is the first IFD, with pointers to the *Exif IFD* and
the *GPS IFD*; *MakerNote* is an entry by a camera's maker whose structure is unknown.
"""
