"""`GET /`: the page, and the files that it consists of."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[2] / "web"

# The page needs nothing inline and nobody else's files. Pictures that people drop are blobs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

# Set here, because what a system registers for .js differs, and modules must be JavaScript.
_TYPES = {
    "": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    etag: str  # of the content: all files of a wheel may have the same time


@cache
def _files() -> dict[str, _File]:
    """Read the page's files, half a megabyte, once: a request can name no others."""
    found = {}
    for path in _FOLDER.rglob("*"):
        if path.is_file() and path.suffix in _TYPES:  # not what editors and systems leave there
            content = path.read_bytes()
            found[path.relative_to(_FOLDER).as_posix()] = _File(
                content, _TYPES[path.suffix], f'"{sha256(content).hexdigest()[:32]}"'
            )
    return found


@router.get("/")
async def home(request: Request) -> Response:
    """Show the page."""
    return _respond(request, "index.html")


@router.get("/web/{name:path}")
async def file(request: Request, name: str) -> Response:
    """Return one of the page's files."""
    return _respond(request, name)


def _respond(request: Request, name: str) -> Response:
    """Return a file, or 304 if the browser has it; browsers ask each time (`no-cache`)."""
    if name not in _files():
        raise HTTPException(404, "Not Found")
    found = _files()[name]
    headers = {"ETag": found.etag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
