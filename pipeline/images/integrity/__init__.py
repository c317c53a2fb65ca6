"""Whether a picture file is whole, which decoders do not report or which is lost on the way from them.

For each format a module looks for damage by the format's own means (checksums, lengths, a decoder's warnings) and
returns the bytes to decode. A decoder that has raised nothing has not said that a file is whole: Pillow ignores the
checksums of a PNG's pixels and drops the warnings of libjpeg.
"""
