"""XMP packets: unwanted properties are cut out; all other bytes stay as they are.

XMP Specification Part 1 (ISO 16684-1) and Part 3 (Adobe, 2020).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.parsers import expat

Unwanted = Callable[[str, str], bool]
"""Whether a property is cut out, by its namespace and its local name."""

MAX_BYTES = 16 << 20
"""Size in bytes of the largest packet that is parsed."""

_MAX_DEPTH = 100
"""Largest number of levels of nested elements, each of which may declare namespaces."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_START_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*+>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_PADDING = re.compile(rb"\s+(?=<\?xpacket\s+end)")


class XmpError(ValueError):
    """The bytes are no XMP packet that can be parsed; the message says why."""


def remove_properties(packet: bytes, unwanted: Unwanted) -> bytes:
    """Return a packet without the unwanted properties, attributes and elements alike, at any depth.

    Raises:
        XmpError: the packet is larger than `MAX_BYTES`, not UTF-8, not well-formed, has a DTD, or has no RDF.
    """
    if len(packet) > MAX_BYTES:
        raise XmpError(f"larger than {MAX_BYTES >> 20} MB")
    editor = _Editor(packet, unwanted)
    try:
        packet.decode("utf-8")
        editor.parse()
    except (UnicodeDecodeError, expat.ExpatError) as error:
        raise XmpError(str(error)) from error
    if not editor.has_rdf:
        raise XmpError("no rdf:RDF in it")
    return editor.result()


def remove_padding(packet: bytes) -> bytes:
    """Return a packet without the spaces that are reserved for growth in place."""
    return _PADDING.sub(b"\n", packet)


class _Editor:
    """Collects the byte ranges to cut while expat parses the packet."""

    def __init__(self, packet: bytes, unwanted: Unwanted) -> None:
        self._packet, self._unwanted = packet, unwanted
        self._scopes: list[dict[str, str]] = [{}]
        self._cuts: list[tuple[int, int]] = []
        self._cut_from: tuple[int, int] | None = None  # start and depth of the outermost element that is cut
        self._empty: list[int | None] = []  # for each open element: the end of its tag if the element is empty
        self.has_rdf = False
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse

    def parse(self) -> None:
        self._parser.Parse(self._packet, True)  # noqa: FBT003 - expat takes it by position only
        # The first parser gives byte ranges and prefixes; only one with namespaces refuses undeclared prefixes.
        expat.ParserCreate("utf-8", " ").Parse(self._packet, True)  # noqa: FBT003 - as above

    def result(self) -> bytes:
        kept, at = [], 0
        for begin, end in self._cuts:
            kept.append(self._packet[at:begin])
            at = end
        return b"".join([*kept, self._packet[at:]])

    def _name(self, qualified: str) -> tuple[str, str]:
        prefix, _, local = qualified.rpartition(":")
        return self._scopes[-1].get(prefix, ""), local

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._packet, begin)
        if tag is None:
            raise XmpError("a start tag without an end")
        if len(self._scopes) > _MAX_DEPTH:
            raise XmpError(f"nested deeper than {_MAX_DEPTH}")
        self._empty.append(tag.end() if tag.group().endswith(b"/>") else None)
        declared = {each.partition(":")[2]: uri for each, uri in attributes.items() if each.startswith("xmlns")}
        self._scopes.append({**self._scopes[-1], **declared} if declared else self._scopes[-1])
        self.has_rdf |= self._name(name) == (_RDF, "RDF")
        if self._cut_from:
            return
        if self._unwanted(*self._name(name)):
            self._cut_from = begin, len(self._scopes)
            return
        for found in _ATTRIBUTE.finditer(tag.group()):
            each = found[1].decode()
            if not each.startswith("xmlns") and self._unwanted(*self._name(each)):
                self._cuts.append((begin + found.start(), begin + found.end()))

    def _end(self, _name: str) -> None:
        end = self._empty.pop()
        if self._cut_from and self._cut_from[1] == len(self._scopes):
            if end is None:
                end = self._packet.index(b">", self._parser.CurrentByteIndex) + 1
            self._cuts.append((self._cut_from[0], end))
            self._cut_from = None
        self._scopes.pop()


def _refuse(*_: object) -> None:
    raise XmpError("it has a document type, which may expand without limit")
