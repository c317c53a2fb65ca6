"""XMP packets: unwanted properties are cut out, others get new values; all other bytes stay as they are.

XMP Specification Part 1 (ISO 16684-1) and Part 3 (Adobe, 2020).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from xml.parsers import expat

Name = tuple[str, str]
"""Namespace and local name of a property."""

Unwanted = Callable[[str, str], bool]
"""Whether a property is cut out, by its namespace and its local name."""

MAX_BYTES = 16 << 20
"""Size in bytes of the largest packet that is parsed."""

_MAX_DEPTH = 100
"""Largest number of levels of nested elements, each of which may declare namespaces."""

_MAX_NAMESPACES = 500
"""Largest number of namespaces that an element may use; programs declare a few dozen."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_START_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*+>""")
_ATTRIBUTE = re.compile(rb"""(?<!\s)\s++([^\s=]++)\s*+=\s*+("[^"]*+"|'[^']*+')""")
_PADDING = re.compile(rb"(?<!\s)\s++(?=<\?xpacket\s++end)")
"""The spaces before the end of a packet. A run of spaces is tried at its beginning alone: it may have millions."""


class XmpError(ValueError):
    """The bytes are no XMP packet that can be parsed; the message says why."""


def edit_properties(packet: bytes, unwanted: Unwanted, changed: Mapping[Name, str] | None = None) -> bytes:
    """Return a packet without the unwanted properties, attributes and elements alike, at any depth.

    Args:
        packet: the packet.
        unwanted: whether a property is cut out.
        changed: new values of simple properties, without characters that XML escapes.

    Raises:
        XmpError: the packet is larger than `MAX_BYTES`, not UTF-8, not well-formed, has a DTD, or has no RDF.
    """
    editor = _Editor(packet, unwanted, changed or {})
    with _errors(packet):
        packet.decode("utf-8")
        editor.parse()
    if not editor.has_rdf:
        raise XmpError("no rdf:RDF in it")
    return editor.result()


def simple_properties(packet: bytes, namespace: str) -> dict[str, str]:
    """Return the texts of the properties of a namespace, by local name.

    Raises:
        XmpError: the packet cannot be parsed; see `edit_properties`.
    """
    found: dict[str, list[str]] = {}
    open_names: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        open_names.append(name)
        found.update({each.partition(" ")[2]: [text] for each, text in attributes.items() if each.startswith(prefix)})

    def text(data: str) -> None:
        if open_names and open_names[-1].startswith(prefix):
            found.setdefault(open_names[-1].partition(" ")[2], []).append(data)

    prefix = f"{namespace} "
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _name: open_names.pop()
    parser.StartDoctypeDeclHandler = _refuse
    with _errors(packet):
        parser.Parse(packet, True)  # noqa: FBT003 - expat takes it by position only
    return {name: "".join(texts) for name, texts in found.items()}


@contextmanager
def _errors(packet: bytes) -> Iterator[None]:
    """Refuse a packet that is too large, and translate errors of parsing it."""
    if len(packet) > MAX_BYTES:
        raise XmpError(f"larger than {MAX_BYTES >> 20} MB")
    try:
        yield
    except (UnicodeDecodeError, expat.ExpatError) as error:
        raise XmpError(str(error)) from error


def remove_padding(packet: bytes) -> bytes:
    """Return a packet without the spaces that are reserved for growth in place."""
    return _PADDING.sub(b"\n", packet)


class _Editor:
    """Collects the byte ranges to cut or to replace while expat parses the packet."""

    def __init__(self, packet: bytes, unwanted: Unwanted, changed: Mapping[Name, str]) -> None:
        self._packet, self._unwanted, self._changed = packet, unwanted, changed
        self._scopes: list[dict[str, str]] = [{}]
        self._cuts: list[tuple[int, int, bytes]] = []  # begin, end, and the bytes that come in their place
        self._text_from: tuple[int, int, str] | None = None  # end of the tag, depth and new text of the open element
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
        for begin, end, instead in self._cuts:
            kept += [self._packet[at:begin], instead]
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
        if len(self._scopes[-1]) > _MAX_NAMESPACES:
            raise XmpError(f"more than {_MAX_NAMESPACES} namespaces")
        self.has_rdf |= self._name(name) == (_RDF, "RDF")
        if self._cut_from:
            return
        if self._unwanted(*self._name(name)):
            self._cut_from = begin, len(self._scopes)
            return
        new = self._changed.get(self._name(name))
        self._text_from = None if new is None or self._empty[-1] is not None else (tag.end(), len(self._scopes), new)
        for found in _ATTRIBUTE.finditer(tag.group()):
            each = found[1].decode()
            if each.startswith("xmlns"):
                continue
            if self._unwanted(*self._name(each)):
                self._cuts.append((begin + found.start(), begin + found.end(), b""))
            elif self._name(each) in self._changed:
                text = self._changed[self._name(each)].encode()
                self._cuts.append((begin + found.start(2) + 1, begin + found.end(2) - 1, text))

    def _end(self, _name: str) -> None:
        end = self._empty.pop()
        if self._cut_from and self._cut_from[1] == len(self._scopes):
            if end is None:
                end = self._packet.index(b">", self._parser.CurrentByteIndex) + 1
            self._cuts.append((self._cut_from[0], end, b""))
            self._cut_from = None
        if self._text_from and self._text_from[1] == len(self._scopes):
            self._cuts.append((self._text_from[0], self._parser.CurrentByteIndex, self._text_from[2].encode()))
            self._text_from = None
        self._scopes.pop()


def _refuse(*_: object) -> None:
    raise XmpError("it has a document type, which may expand without limit")
