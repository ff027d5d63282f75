"""The path under which a proxy offers the service, such as `/captions`."""

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RootPath", "route_path"]


class RootPath:
    """Puts the root path in front of every path, unless the proxy has left it there.

    Args:
        app: the wrapped application.
        root_path: begins with a slash, and does not end with one.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self.app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            path = scope["path"]
            if not path.startswith(self._root_path + "/"):
                path = self._root_path + path
            scope = {**scope, "root_path": self._root_path, "path": path}
        await self.app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """Return a request's path without the root path: what routes are chosen by."""
    path: str = scope["path"]
    # A mounted application has a longer root path; the one of the whole service lies beside it.
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(root + "/") else path
