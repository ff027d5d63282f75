"""Find where the elements of an XML document begin and end, so that one can be changed in place.

A parser that reads a document and writes it anew loses prefixes, comments or the blanks between
attributes. Here whatever is not changed stays as it is, to the byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

__all__ = ["Element", "parse_elements"]

_MAX_ELEMENTS = 100_000
_MAX_DEPTH = 200

# Of a start tag: its beginning, and then an attribute with its quoted value, or the end.
_TAG = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s*(?:([^\s=<>/]+)\s*=\s*(?:"[^"]*"|'[^']*')|(/?>))""")


@dataclass(slots=True)
class Element:
    """An element, and where it is in the document's bytes.

    Attributes:
        name: with its namespace: `{http://...}local`.
        attributes: values by such a name; those that declare namespaces are left out.
        places: where each attribute, named and valued, begins and ends.
        start, end: of the whole element.
        inner: where its content begins and ends; None for `<empty/>`.
        text: the characters in it, not those in its children.
    """

    name: str
    start: int
    attributes: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    inner: tuple[int, int] | None = None
    end: int = 0
    children: list[Element] = field(default_factory=list)
    text: str = ""


def parse_elements(document: bytes) -> Element:
    """Parse a document in UTF-8, and return its root.

    Raises:
        ValueError: it is not well-formed, declares another encoding or a document type (whose
            entities could expand without end), or has more than 100,000 elements or 200 levels.
    """
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.buffer_size = 1 << 20
    above: list[Element] = [Element("", 0)]
    texts: list[list[str]] = [[]]  # of the same elements, in pieces: adding each copies the others
    count = 0

    def start(name: str, attributes: list[str]) -> None:
        nonlocal count
        count += 1
        if count > _MAX_ELEMENTS:
            raise ValueError(f"it has more than {_MAX_ELEMENTS:,} elements")
        if len(above) > _MAX_DEPTH:
            raise ValueError(f"its elements are more than {_MAX_DEPTH} deep")
        element = Element(_clark(name), parser.CurrentByteIndex)
        _read_start_tag(document, element, attributes)
        above[-1].children.append(element)
        above.append(element)
        texts.append([])

    def end(_: str) -> None:
        element = above.pop()
        element.text = "".join(texts.pop())
        if element.inner is not None:
            element.inner = (element.inner[0], parser.CurrentByteIndex)
            element.end = document.index(b">", parser.CurrentByteIndex) + 1

    def characters(text: str) -> None:
        texts[-1].append(text)

    def declaration(_: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf-16", "us-ascii"):
            raise ValueError(f"its encoding is {encoding}, not UTF-8")

    def document_type(*_: object) -> None:
        raise ValueError("it declares a document type, which no XMP needs")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = document_type
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is not well-formed XML ({error})") from error
    return above[0].children[0]


def _read_start_tag(document: bytes, element: Element, attributes: list[str]) -> None:
    """Find the attributes and the end of a start tag, which the parser has found well-formed."""
    values = zip(attributes[::2], attributes[1::2], strict=True)
    place = _match(_TAG, document, element.start).end()
    while (found := _match(_ATTRIBUTE, document, place))[2] is None:
        place = found.end()
        if found[1] == b"xmlns" or found[1].startswith(b"xmlns:"):
            continue
        name, value = next(values)
        element.attributes[_clark(name)] = value
        element.places[_clark(name)] = found.span()
    element.end = found.end()
    if found[2] == b">":
        element.inner = (element.end, element.end)


def _match(pattern: re.Pattern[bytes], document: bytes, place: int) -> re.Match[bytes]:
    found = pattern.match(document, place)
    assert found is not None  # noqa: S101 - the parser has found it well-formed
    return found


def _clark(name: str) -> str:
    """Write a name as `{namespace}local`, from the parser's `namespace local`."""
    namespace, _, local = name.rpartition(" ")
    return f"{{{namespace}}}{local}"
