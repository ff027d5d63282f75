"""Reading multipart forms.

A form is parsed while it arrives, and its parts stay in memory: nothing is written to a temporary
folder, which may be full. `app.http.bodies` limits how much all requests together may hold.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.errors import MalformedBody

__all__ = ["read_form", "read_form_pictures"]

_MAX_PARTS = 16
_MAX_PREAMBLE = 64 * 1024  # bytes before the first boundary

_CURL = "curl -F image=@photo.jpg"


@dataclass
class _Part:
    """A field of a form; one with a file name is a file."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    name: str = ""
    is_file: bool = False


async def read_form(request: Request, texts: Collection[str] = ()) -> tuple[bytes, dict[str, str]]:
    """Read a form's file `image`, and its fields that are named in `texts`.

    Raises:
        MalformedBody: the form is damaged or cut short, lacks the file, or has other fields.
    """
    (picture,), fields = await read_form_pictures(request, texts)
    return picture, fields


async def read_form_pictures(
    request: Request, texts: Collection[str] = (), *, most: int = 1
) -> tuple[list[bytes], dict[str, str]]:
    """Read a form's files `image`, at most so many, and its fields that are named in `texts`.

    Raises:
        MalformedBody: the form is damaged or cut short, lacks the file, or has other fields.
    """
    parts = await _read_parts(request)
    unknown = sorted({part.name for part in parts} - {"image", *texts})
    if unknown:
        allowed = ", ".join(f"`{name}`" for name in texts)
        raise MalformedBody(
            f"the form has an unknown field {unknown[0][:40]!r}: send only the file `image`"
            + (f" and {allowed}" if texts else ", and put parameters into the query")
        )
    images = [part for part in parts if part.name == "image"]
    if len(images) > most:
        rule = "one picture" if most == 1 else f"at most {most} pictures"
        raise MalformedBody(
            f"the form has {len(images)} files `image`: send {rule} with each request"
        )
    if not (images and all(image.is_file for image in images)):
        raise MalformedBody(f"the form needs a file `image` with a file name: {_CURL}")
    fields: dict[str, str] = {}
    for part in parts:
        if part.name in texts:
            if part.is_file or part.name in fields:
                raise MalformedBody(
                    f"the form's field `{part.name}` must be a single text, not a file"
                )
            fields[part.name] = _decode(part)
    return [bytes(image.data) for image in images], fields


async def _read_parts(request: Request) -> list[_Part]:
    form = _Form(request.headers["content-type"])
    async for chunk in request.stream():
        form.feed(chunk)
    return form.finish()


class _Form:
    """A form that is being received.

    Args:
        content_type: the request's, with the boundary.

    Raises:
        MalformedBody: there is no boundary.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedBody(
                "the Content-Type of the form has no boundary: let your HTTP client set it, as in "
                f"{_CURL}"
            )
        self._parts: list[_Part] = []
        self._header = b""
        self._ended = False
        self._preamble: bytearray | None = bytearray()
        self._delimiter = b"--" + boundary
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._add_to_header,
                    "on_header_value": self._add_to_value,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise MalformedBody(
                "the form's boundary is too long: use up to 70 characters"
            ) from error

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes.

        Raises:
            MalformedBody: the form is damaged, or has too many parts.
        """
        if self._preamble is not None:
            self._preamble += chunk
            start = _find_start(self._preamble, self._delimiter)
            if start < 0:
                if len(self._preamble) > _MAX_PREAMBLE:
                    raise self._no_boundary()
                return
            chunk, self._preamble = bytes(self._preamble[start:]), None
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedBody(
                "the form is malformed: every part needs a line with the boundary, its headers and "
                "an empty line, and lines end with CR LF"
            ) from error

    def finish(self) -> list[_Part]:
        """Return the parts of the whole form.

        Raises:
            MalformedBody: the form is cut short.
        """
        if self._preamble is not None:
            raise self._no_boundary()
        if not self._ended:
            raise MalformedBody(
                "the form is cut short, it lacks the closing boundary: send the whole file again"
            )
        return self._parts

    def _no_boundary(self) -> MalformedBody:
        return MalformedBody(
            "the form does not contain the boundary that its Content-Type names: let your HTTP "
            f"client set it, as in {_CURL}"
        )

    def _begin_part(self) -> None:
        self._parts.append(_Part())
        if len(self._parts) > _MAX_PARTS:
            raise MalformedBody(f"the form has more than {_MAX_PARTS} parts: send fewer")

    def _begin_header(self) -> None:
        self._header = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end].lower()

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        headers = self._parts[-1].headers
        headers[self._header] = headers.get(self._header, b"") + data[start:end]

    def _end_headers(self) -> None:
        part = self._parts[-1]
        disposition = part.headers.get(b"content-disposition", b"")
        options = parse_options_header(disposition)[1]
        if b"name" not in options:
            raise MalformedBody(
                "a part of the form has no name: it needs a header like Content-Disposition: "
                'form-data; name="image"; filename="photo.jpg"'
            )
        part.name = options[b"name"].decode("utf-8", "replace")
        # RFC 7578 forbids filename*, and some clients send nothing else.
        part.is_file = b"filename" in options or b"filename*=" in disposition

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].data += data[start:end]

    def _end(self) -> None:
        self._ended = True


def _find_start(body: bytearray, delimiter: bytes) -> int:
    """Return where the first boundary is, after any preamble; -1 if it has not come yet."""
    if body.startswith(delimiter):
        return 0
    after_line_break = body.find(b"\r\n" + delimiter)
    return after_line_break + 2 if after_line_break >= 0 else -1


def _decode(part: _Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the form's field `{part.name}` is not UTF-8: send UTF-8") from error
