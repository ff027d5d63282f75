"""`GET /`: on to the docs."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> RedirectResponse:
    """Send people who open the bare address to the docs."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")
