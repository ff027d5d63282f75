"""The application factory: `uvicorn app.main:create_app --factory`."""

import sys

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline

from app.http.compat import compat_routers
from app.http.error_handlers import install_error_handlers
from app.http.middleware import middleware
from app.http.routes import ROUTERS, health, metrics
from app.http.telemetry import trace_requests
from app.logs import configure_logs
from app.serving.engine import Engine
from app.settings import Settings, SettingsError, read_settings
from app.version import VERSION

__all__ = ["create_app"]

# Only for the OpenAPI document: `app.http.auth` has checked the key already.
_DOCUMENTED_KEY = Security(HTTPBearer(auto_error=False, description="An API key."))


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the service; without `settings` they are read from the environment.

    Invalid settings there end the process with a message.
    """
    try:
        settings = settings or read_settings()
    except SettingsError as error:
        sys.exit(f"unrolled: {error}")
    configure_logs(settings.log_format, settings.log_level)
    engine = Engine(settings)
    app = FastAPIOffline(
        docs_url=None,  # app.http.routes.docs
        title="Unrolled",
        version=VERSION,
        description="Captions pictures and generates text with recurrent networks, with the "
        "log-probability of every word.",
        lifespan=lambda _: engine.running(),
        middleware=middleware(settings, engine.metrics),
    )
    app.state.engine = engine
    install_error_handlers(app)
    shown = [metrics.router] if settings.metrics else []
    for router in (*ROUTERS, *shown, *compat_routers(settings.apis)):
        needs_key = settings.needs_api_key and router is not health.router
        app.include_router(router, dependencies=[_DOCUMENTED_KEY] if needs_key else [])
    trace_requests(app)
    return app
