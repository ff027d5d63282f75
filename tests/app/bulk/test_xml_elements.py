import time

import pytest

from app.bulk.xml_elements import parse_elements

DOCUMENT = """\
<?xml version="1.0"?>
<!-- <a> is no element here -->
<a:root xmlns:a = 'urn:a' xmlns="urn:b"
   a:one="1 > 0 &amp; '" two = '"2"/>'>before<child/><child
 >é<![CDATA[</child>]]></child
 >after</a:root>
<?end?>
""".encode()


def test_elements_are_found_where_they_are() -> None:
    root = parse_elements(DOCUMENT)
    assert root.name == "{urn:a}root"
    assert root.attributes == {"{urn:a}one": "1 > 0 & '", "{}two": '"2"/>'}
    assert DOCUMENT[slice(*root.places["{}two"])].strip() == b"""two = '"2"/>'"""
    assert DOCUMENT[root.start : root.end].endswith(b">after</a:root>")
    assert root.text == "beforeafter"
    empty, child = root.children
    assert (empty.name, empty.inner) == ("{urn:b}child", None)
    assert DOCUMENT[empty.start : empty.end] == b"<child/>"
    assert child.text == "é</child>"
    assert DOCUMENT[slice(*child.inner)] == "é<![CDATA[</child>]]>".encode()
    assert DOCUMENT[child.start : child.end].endswith(b"</child\n >")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not well-formed"),
        (b"<a><b></a>", "not well-formed"),
        (b"<a x:y='1'/>", "not well-formed"),
        (b"\xff\xd8\xff\xe0", "not well-formed"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", "encoding is ISO-8859-1"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        (b"<a>" + b"<b/>" * 100_000 + b"</a>", "more than 100,000 elements"),
        (b"<a>" * 201 + b"</a>" * 201, "more than 200 deep"),
    ],
)
def test_other_documents_are_refused(document: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_elements(document)


@pytest.mark.parametrize(
    "document",
    [
        b"<" + b"a" * 2_000_000 + b"/>",
        b"<a " + b" ".join(b'a%d=""' % i for i in range(100_000)) + b"/>",
        b"<a>" + b"text&amp;" * 500_000 + b"</a>",
        b"<a>" + (b"<b/>" + b"text" * 40) * 99_000 + b"</a>",
    ],
    ids=["a long name", "many attributes", "a long text", "texts between elements"],
)
def test_large_documents_take_linear_time(document: bytes) -> None:
    started = time.perf_counter()
    parse_elements(document)
    assert time.perf_counter() - started < 10
