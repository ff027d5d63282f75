"""Multipart forms: those of every client are read, and every fault is named."""

import tempfile

import httpx
import pytest

from tests.app.answers import assert_error, captions
from tests.app.photos import encoded, photo

PNG = encoded(photo())
FORM = "multipart/form-data; boundary=x"
DISPOSITION = b'Content-Disposition: form-data; name="image"; filename="a.png"'


def part(data: bytes = PNG, disposition: bytes = DISPOSITION) -> bytes:
    return b"--x\r\n" + disposition + b"\r\n\r\n" + data + b"\r\n"


def send(
    client: httpx.Client, content: bytes, content_type: str = FORM, path: str = "/caption"
) -> httpx.Response:
    return client.post(path, content=content, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (part() + b"--x--", FORM),
        (part() + b"--x--\r\nan epilogue", FORM),
        (b"This is a form.\r\nIt has -- and --x in its preamble.\r\n" + part() + b"--x--", FORM),
        (b"\r\n" + part() + b"--x--", FORM),
        (part() + b"--x--", 'Multipart/Form-Data; charset=utf-8; boundary="x"'),
        (part(disposition=DISPOSITION.replace(b'"image"', b"image")) + b"--x--", FORM),
        (part(disposition=DISPOSITION.replace(b"a.png", b"")) + b"--x--", FORM),
        (part(disposition=DISPOSITION.replace(b'="a.png"', b"*=utf-8''a.png")) + b"--x--", FORM),
        (
            part(disposition=DISPOSITION.replace(b"a.png", 'é 🐈 \\" .png'.encode())) + b"--x--",
            FORM,
        ),
    ],
)
def test_a_form_is_read(client: httpx.Client, content: bytes, content_type: str) -> None:
    assert captions(send(client, content, content_type))


def test_a_form_is_read_in_any_pieces(client: httpx.Client) -> None:
    content = b"preamble\r\n" + part() + b"--x--"
    pieces = [content[at : at + 1] for at in range(len(content) - 300)] + [content[-300:]]
    response = client.post("/caption", content=iter(pieces), headers={"Content-Type": FORM})
    assert captions(response)


@pytest.mark.parametrize(
    ("content", "content_type", "says"),
    [
        (part(), FORM, "cut short"),
        (part()[:-60], FORM, "cut short"),
        (part() + b"--x", FORM, "cut short"),
        (b'--x\r\nContent-Disposition: form-data; name="ima', FORM, "cut short"),
        (part() + b"--x--", "multipart/form-data", "has no boundary"),
        (part() + b"--x--", "multipart/form-data; boundary=", "has no boundary"),
        (part() + b"--x--", f"multipart/form-data; boundary={'y' * 300}", "too long"),
        (part() + b"--x--", "multipart/form-data; boundary=y", "does not contain the boundary"),
        (bytes(70_000), FORM, "does not contain the boundary"),
        (b"", FORM, "does not contain the boundary"),
        (part().replace(b"\r\n", b"\n") + b"--x--", FORM, "CR LF"),
        (b"--x\r\nA: b\r\n\r\n1\r\n--x--", FORM, "has no name"),
        (b"--x\r\n" + b"A: b\r\n" * 5_000, FORM, "malformed"),
        (part(disposition=DISPOSITION.replace(b"a.png", b"a" * 99_999)), FORM, "malformed"),
        (part() * 20 + b"--x--", FORM, "more than 16 parts"),
        (part(disposition=b'A: form-data; name="image"') + b"--x--", FORM, "has no name"),
        (b"--x--", FORM, "needs a file `image` with a file name: curl"),
    ],
)
def test_a_fault_is_named(
    client: httpx.Client, content: bytes, content_type: str, says: str
) -> None:
    assert says in assert_error(send(client, content, content_type), 400, "malformed_body")


def test_a_form_without_the_file_is_refused(client: httpx.Client) -> None:
    response = client.post("/caption", files={"photo": ("photo.png", PNG)})
    assert "'photo'" in assert_error(response, 400, "malformed_body")
    response = client.post("/caption", files={"image": (None, "text, not a file")})
    assert "-F image=@photo.jpg" in assert_error(response, 400, "malformed_body")


def test_parameters_in_a_form_are_refused(client: httpx.Client) -> None:
    response = client.post("/caption", files={"image": ("a.png", PNG)}, data={"beam_size": "5"})
    assert "query" in assert_error(response, 400, "malformed_body")


def test_a_score_is_of_one_picture(client: httpx.Client) -> None:
    text = part(b"a cat", b'Content-Disposition: form-data; name="text"')
    response = send(client, part() + part() + text + b"--x--", path="/score")
    message = assert_error(response, 400, "malformed_body")
    assert "has 2 files `image`: send one picture" in message


def test_a_text_that_is_not_utf_8_is_refused(client: httpx.Client) -> None:
    text = part("à la carte".encode("latin-1"), b'Content-Disposition: form-data; name="text"')
    response = send(client, part() + text + b"--x--", path="/score")
    assert "`text` is not UTF-8" in assert_error(response, 400, "malformed_body")


def test_a_form_needs_no_temporary_folder(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    large = encoded(photo(), "BMP") + bytes(3_000_000)
    assert captions(client.post("/caption", files={"image": ("a.bmp", large)}))
