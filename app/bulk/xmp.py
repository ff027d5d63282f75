"""Put a caption, an alternative text and tags into an XMP document, and keep all else in it.

XMP (ISO 16684-1) is how cameras, Lightroom, digiKam and darktable describe a picture beside its
file. A document that is there already is changed only where a property is filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from app.bulk.xml_elements import Element, parse_elements
from app.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Description", "describe", "is_described"]

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DEFAULT = "x-default"

# What XML cannot hold.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_EMPTY = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Unrolled {VERSION}">
 <rdf:RDF xmlns:rdf="{_RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


@dataclass(frozen=True)
class Description:
    """What is said of a picture."""

    caption: str
    alt_text: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Property:
    prefix: str
    namespace: str
    local: str

    @property
    def name(self) -> str:
        return f"{{{self.namespace}}}{self.local}"


_CAPTION = _Property("dc", "http://purl.org/dc/elements/1.1/", "description")
_ALT_TEXT = _Property(
    "Iptc4xmpCore", "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "AltTextAccessibility"
)
_SUBJECT = _Property("dc", "http://purl.org/dc/elements/1.1/", "subject")
_TAGS_LIST = _Property("digiKam", "http://www.digikam.org/ns/1.0/", "TagsList")


def is_described(document: bytes) -> bool:
    """Check that a document has a caption and an alternative text already.

    Raises:
        ValueError: it is not XMP.
    """
    packet = _Packet(document)
    return all(packet.has_text(each) for each in (_CAPTION, _ALT_TEXT))


def describe(document: bytes | None, description: Description, *, overwrite: bool = False) -> bytes:
    """Return a document with a picture's description, or a new one with nothing else in it.

    A caption or alternative text that is there in any language stays, and with `overwrite` its
    default language (`x-default`) is replaced. Tags are added to those that are there.

    Raises:
        ValueError: the document is not XMP.
    """
    packet = _Packet(_EMPTY.encode() if document is None else document)
    for each, text in ((_CAPTION, description.caption), (_ALT_TEXT, description.alt_text)):
        if overwrite or not packet.has_text(each):
            packet.set_text(each, text)
    if description.tags:
        packet.add_items(_SUBJECT, "Bag", description.tags)
        packet.add_items(_TAGS_LIST, "Seq", description.tags)
    return packet.changed()


class _Packet:
    """A document, and what is to change in it: places in its bytes, and what comes there."""

    def __init__(self, document: bytes) -> None:
        self._encoding = _encoding(document)
        try:
            self._bytes = document.decode(self._encoding).encode()
        except UnicodeError as error:
            raise ValueError(f"its text is not {self._encoding.upper()}") from error
        rdf = _find(parse_elements(self._bytes), f"{{{_RDF}}}RDF")
        if rdf is None:
            raise ValueError("it is XML, but no XMP: it has no rdf:RDF")
        self._rdf = rdf
        self._blocks = [each for each in rdf.children if each.name == f"{{{_RDF}}}Description"]
        self._edits: list[tuple[int, int, str]] = []
        self._new: list[tuple[_Property, list[str]]] = []

    def has_text(self, wanted: _Property) -> bool:
        """Check that a property has a text, in any language."""
        element, block = self._element(wanted), self._attribute(wanted)
        if element is not None:
            return any(each.text.strip() for each in (element, *_items(element)))
        return block is not None and bool(block.attributes[wanted.name].strip())

    def set_text(self, wanted: _Property, text: str) -> None:
        """Set a property's text in the default language."""
        element = self._element(wanted)
        array = None if element is None else _array(element)
        if array is None or array.name != f"{{{_RDF}}}Alt":
            self._remove(wanted)
            item = f'<rdf:li xml:lang="{_DEFAULT}">{_escape(text)}</rdf:li>'
            self._new.append((wanted, ["<rdf:Alt>", f" {item}", "</rdf:Alt>"]))
            return
        for each in array.children:
            if each.attributes.get(_LANGUAGE, "").lower() == _DEFAULT:
                self._fill(each, _escape(text))
                return
        self._fill(array, self._item(array, text, f' xml:lang="{_DEFAULT}"'), at_end=False)

    def add_items(self, wanted: _Property, kind: str, items: Sequence[str]) -> None:
        """Add to a property's array the items that it lacks."""
        element, block = self._element(wanted), self._attribute(wanted)
        array = None if element is None else _array(element)
        if array is not None:
            there = {item.text.strip() for item in array.children}
            lines = [self._item(array, item) for item in items if item not in there]
            if lines:
                self._fill(array, "".join(lines), at_end=True)
            return
        alone = element.text if element else block.attributes[wanted.name] if block else ""
        every = dict.fromkeys([*filter(None, [alone.strip()]), *items])
        self._remove(wanted)
        lines = [f" <rdf:li>{_escape(item)}</rdf:li>" for item in every]
        self._new.append((wanted, [f"<rdf:{kind}>", *lines, f"</rdf:{kind}>"]))

    def changed(self) -> bytes:
        """Return the document with all changes."""
        if self._new:
            self._fill(self._rdf, self._block(), at_end=True)
        changed = self._bytes
        for start, end, text in sorted(self._edits, reverse=True):
            changed = changed[:start] + text.encode() + changed[end:]
        return changed.decode().encode(self._encoding)

    def _element(self, wanted: _Property) -> Element | None:
        children = (child for block in self._blocks for child in block.children)
        return next((child for child in children if child.name == wanted.name), None)

    def _attribute(self, wanted: _Property) -> Element | None:
        """Return the block that has a property as an attribute, as simple ones may be written."""
        return next((block for block in self._blocks if wanted.name in block.attributes), None)

    def _remove(self, wanted: _Property) -> None:
        if (element := self._element(wanted)) is not None:
            self._edits.append((element.start, element.end, ""))
        if (block := self._attribute(wanted)) is not None:
            self._edits.append((*block.places[wanted.name], ""))

    def _tag(self, element: Element) -> str:
        """Return an element's name as the document writes it, prefix included."""
        tag = re.match(rb"<([^\s/>]+)", self._bytes[element.start : element.end])
        assert tag is not None  # noqa: S101 - it was parsed
        return tag[1].decode()

    def _item(self, array: Element, text: str, attributes: str = "") -> str:
        prefix, colon, _ = self._tag(array).rpartition(":")
        return f"<{prefix}{colon}li{attributes}>{_escape(text)}</{prefix}{colon}li>"

    def _fill(self, element: Element, content: str, *, at_end: bool | None = None) -> None:
        """Insert content at the start or end of an element, or replace what it contains."""
        if element.inner is None:  # <empty/>
            tag = f">{content}</{self._tag(element)}>"
            self._edits.append((element.end - len("/>"), element.end, tag))
            return
        start, end = element.inner
        if at_end is not None:
            start = end = end if at_end else start
        self._edits.append((start, end, content))

    def _block(self) -> str:
        """Return the new properties, with all the namespaces that they need."""
        about = f"{{{_RDF}}}about"
        subject = next((b.attributes[about] for b in self._blocks if about in b.attributes), "")
        names = {"rdf": _RDF} | {each.prefix: each.namespace for each, _ in self._new}
        lines = [f" <rdf:Description rdf:about={quoteattr(subject)}"]
        lines += [f'    xmlns:{prefix}="{namespace}"' for prefix, namespace in names.items()]
        lines[-1] += ">"
        for each, content in self._new:
            tag = f"{each.prefix}:{each.local}"
            lines += [f"   <{tag}>", *(f"    {line}" for line in content), f"   </{tag}>"]
        return "\n".join([*lines, "  </rdf:Description>", " "])


def _encoding(document: bytes) -> str:
    if document.startswith(b"\xff\xfe"):
        return "utf-16-le"
    return "utf-16-be" if document.startswith(b"\xfe\xff") else "utf-8"


def _find(root: Element, name: str) -> Element | None:
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if element.name == name:
            return element
        waiting += reversed(element.children)
    return None


def _array(element: Element) -> Element | None:
    """Return the array that is all of a property's value."""
    kinds = [f"{{{_RDF}}}{kind}" for kind in ("Alt", "Bag", "Seq")]
    return element.children[0] if [c.name in kinds for c in element.children] == [True] else None


def _items(element: Element) -> list[Element]:
    array = _array(element)
    return [] if array is None else array.children


def _escape(text: str) -> str:
    return escape(_ILLEGAL.sub("", text))
