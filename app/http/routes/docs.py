"""`GET /docs`: the API documentation, to read and to try."""

import re
from base64 import b64encode
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.http.middleware import content_security_policy

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

# Where `fastapi_offline` serves Swagger UI.
_STATIC = "/static-offline-docs"

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show Swagger UI; of inline scripts, only its own may run."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url=f"{root}{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_STATIC}/favicon.png",
    )
    digests = [sha256(script).digest() for script in _INLINE_SCRIPT.findall(bytes(page.body))]
    hashes = [f"'sha256-{b64encode(digest).decode()}'" for digest in digests]
    page.headers["Content-Security-Policy"] = content_security_policy(*hashes)
    return page
