"""`GET /`: redirect to the API documentation."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> RedirectResponse:
    """Redirect to the API documentation."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")
