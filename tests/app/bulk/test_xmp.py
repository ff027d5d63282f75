import re

import pytest

from app.bulk.xmp import Description, describe, is_described

CAT = Description("a cat & <a dog>", "A cat.", ("cat", "dog"))

# As other programs write it: attributes with line breaks, an array of languages, comments, masks,
# and the padding of a packet.
OTHERS = """\
<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<!-- kept -->
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk="Adobe XMP Core 7">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about='uuid:1' xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmp:Rating="4"   photoshop:Instructions="one&#xA;two"
    xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:mine="urn:mine">
   <d:title><rdf:Alt><rdf:li xml:lang="x-default">Title</rdf:li></rdf:Alt></d:title>
   <mine:masks><rdf:Seq><rdf:li mine:x="1" /></rdf:Seq><?mine keep?></mine:masks>
   <d:subject><rdf:Bag><rdf:li>cat</rdf:li><rdf:li>Köln</rdf:li></rdf:Bag></d:subject>
   <d:description>
    <rdf:Alt>
     <rdf:li xml:lang='de'>Eine Katze</rdf:li>
     <rdf:li xml:lang='X-Default'>{text}</rdf:li>
    </rdf:Alt>
   </d:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
                                        \n
<?xpacket end='w'?>"""


def without(document: str, *pieces: str) -> str:
    """Take out pieces that must be there."""
    for piece in pieces:
        assert piece in document
        document = document.replace(piece, "", 1)
    return document


def new_block(document: str) -> str:
    """Return the block that was added at the end."""
    return re.findall(
        r" <rdf:Description(?:(?!<rdf:Description).)*</rdf:Description>\n ", document, re.DOTALL
    )[-1]


def test_a_new_document_holds_the_description() -> None:
    made = describe(None, CAT)
    text = made.decode()
    assert text.startswith("<?xpacket begin=")
    assert '<rdf:li xml:lang="x-default">a cat &amp; &lt;a dog&gt;</rdf:li>' in text
    assert text.count("<rdf:li>dog</rdf:li>") == 2
    assert is_described(made)
    assert describe(made, CAT) == made
    assert describe(made, Description("other", "Other.")) == made


def test_without_tags_there_are_no_arrays_of_tags() -> None:
    text = describe(None, Description("a cat", "A cat.")).decode()
    assert "dc:subject" not in text
    assert "TagsList" not in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_what_others_wrote_is_kept_to_the_byte(encoding: str) -> None:
    before = ("" if encoding == "utf-8" else "\ufeff") + OTHERS.format(text="A person's words")
    after = describe(before.encode(encoding), CAT).decode(encoding)
    block = new_block(after)
    assert without(after, block, "<rdf:li>dog</rdf:li>") == before
    assert 'rdf:about="uuid:1"' in block
    assert "A cat." in block
    assert "<digiKam:TagsList>" in block
    assert "dc:description" not in block


def test_the_default_language_is_filled_in_and_replaced() -> None:
    german = OTHERS.format(text="")
    # A person's words in any language stay, and those of the default language go first if asked.
    assert "<rdf:li xml:lang='X-Default'></rdf:li>" in describe(german.encode(), CAT).decode()
    after = describe(german.encode(), CAT, overwrite=True).decode()
    assert "<rdf:li xml:lang='X-Default'>a cat &amp; &lt;a dog&gt;</rdf:li>" in after
    assert "Eine Katze" in after
    again = describe(after.encode(), Description("new", "New.", ("cat",)), overwrite=True).decode()
    assert after.replace("a cat &amp; &lt;a dog&gt;", "new").replace("A cat.", "New.") == again


def test_a_default_language_that_is_missing_comes_first() -> None:
    before = OTHERS.format(text="").replace("     <rdf:li xml:lang='X-Default'></rdf:li>\n", "")
    after = describe(before.encode(), CAT, overwrite=True).decode()
    item = '<rdf:li xml:lang="x-default">a cat &amp; &lt;a dog&gt;</rdf:li>'
    assert f"<rdf:Alt>{item}\n     <rdf:li xml:lang='de'>" in after
    assert without(after, item, new_block(after), "<rdf:li>dog</rdf:li>") == before


@pytest.mark.parametrize(
    ("description", "tags"),
    [
        ('dc:description="words"', 'dc:subject="one"'),
        ("<dc:description>words</dc:description>", "<dc:subject>one</dc:subject>"),
        ("<dc:description/>", "<dc:subject/>"),
        ("<dc:description><r:Alt/></dc:description>", "<dc:subject><r:Bag/></dc:subject>"),
        ("", ""),
    ],
)
def test_unusual_shapes_are_understood(description: str, tags: str) -> None:
    names = {"dc": "http://purl.org/dc/elements/1.1/", "xmp": "http://ns.adobe.com/xap/1.0/"}
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    attributes = [each for each in (description, tags) if "=" in each]
    elements = [each for each in (description, tags) if each not in attributes]
    start = f"<r:Description {spaces} {' '.join(attributes)} xmp:Rating='3'"
    end = f">{''.join(elements)}</r:Description>" if any(elements) else "/>"
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    document = f'<r:RDF xmlns:r="{rdf}">{start}{end}</r:RDF>'.encode()
    has_words = "words" in description
    after = describe(document, CAT)
    assert ("words" in after.decode()) is has_words
    assert ("a cat &amp;" in after.decode()) is not has_words
    assert is_described(after)
    assert ("one" in after.decode()) is ("one" in tags)
    assert after.decode().count(">dog<") == 2
    replaced = describe(after, CAT, overwrite=True).decode()
    assert "words" not in replaced
    assert replaced.count("a cat &amp;") == 1
    assert "xmp:Rating='3'" in replaced
    assert describe(replaced.encode(), CAT, overwrite=True).decode() == replaced


@pytest.mark.parametrize("rdf", ["<r:RDF xmlns:r='{}'/>", "<r:RDF xmlns:r='{}'></r:RDF>"])
def test_an_empty_document_is_filled(rdf: str) -> None:
    document = rdf.format("http://www.w3.org/1999/02/22-rdf-syntax-ns#").encode()
    assert not is_described(document)
    assert is_described(describe(document, CAT))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not well-formed"),
        (b"<svg/>", "no XMP"),
        (b"\xff\xfea", "not UTF-16"),
        (b"<a>\xe9</a>", "not UTF-8"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
    ],
)
def test_other_files_are_refused(document: bytes, message: str) -> None:
    for use in (is_described, lambda given: describe(given, CAT, overwrite=True)):
        with pytest.raises(ValueError, match=message):
            use(document)


def test_characters_that_xml_lacks_are_left_out() -> None:
    made = describe(None, Description("a\x00b\x1b\ud800", "A ü 😀."))
    assert ">ab</rdf:li>" in made.decode()
    assert ">A ü 😀.</rdf:li>" in made.decode()
