"""The service on several machines: `serve run app.cluster:app max_replicas=8`.

Ray Serve runs replicas of the service that `app.main` creates, adds more as the load grows, and
distributes requests among them. A replica gets requests once its models are loaded. Needs the extra
`cluster`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ray import serve
from starlette.datastructures import MutableHeaders, State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.main import create_app
from app.serving.engine import Engine
from app.settings import Settings, read_settings

__all__ = ["ClusterOptions", "Replica", "app", "create_replica", "fit_to_share"]

# Ray holds back requests beyond a replica's limit, without a deadline. The limit is therefore a bit
# above the replica's own queue size, so that excess requests get its 429 instead.
_EXTRA_REQUESTS = 16


class ClusterOptions(BaseModel):
    """The options of `serve run app.cluster:app name=value ...`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(1, ge=0, description="Fewest replicas, when idle.")
    max_replicas: int = Field(4, ge=1, description="Most replicas.")
    cpus: float = Field(2, gt=0, description="CPU cores per replica.")
    gpus: float = Field(0, ge=0, description="GPUs per replica; a fraction shares one.")
    requests: float = Field(4, gt=0, description="Target number of requests in flight per replica.")

    @model_validator(mode="after")
    def _check_order(self) -> "ClusterOptions":
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must be at most max_replicas")
        return self


class _SingleRequestId:
    """Removes X-Request-ID from responses, since Ray's proxy adds the same header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["X-Request-ID"]
            await send(message)

        await self.app(scope, receive, send_without_id)


def fit_to_share(settings: Settings, resources: Mapping[str, float]) -> Settings:
    """Set threads and device to what Ray assigned to the replica, unless they are set already.

    Args:
        settings: from the environment.
        resources: the amount of each resource that Ray assigned. The machine's core count would be
            misleading, because several replicas share the machine.
    """
    share = {
        "threads": max(1, int(resources.get("CPU", 1))),
        "device": "cuda" if resources.get("GPU") else "cpu",
    }
    given = settings.model_fields_set
    return settings.model_copy(update={n: v for n, v in share.items() if n not in given})


def create_replica() -> FastAPI:
    """Create the service for a replica; it loads its models in the background."""
    resources = ray.get_runtime_context().get_assigned_resources()
    service = create_app(fit_to_share(read_settings(), resources))
    engine: Engine = service.state.engine
    # Under uvicorn, weights that cannot be loaded end the process. Here `Replica.check_health`
    # reports them to whoever deploys.
    service.router.lifespan_context = lambda _: _running(engine, service.state)
    service.add_middleware(_SingleRequestId)
    return service


class Replica:
    """The health check that Ray calls; Ray sets `app` to the service."""

    app: FastAPI

    async def check_health(self) -> None:
        """Wait until the models are loaded; until then Ray sends no requests.

        Raises:
            ValueError: a model cannot be loaded; the message says why.
        """
        await asyncio.shield(self.app.state.loading)


def app(options: ClusterOptions) -> Any:
    """Build the application for Ray Serve to run.

    Every replica, on any machine, gets the UNROLLED_* variables of this process.

    Raises:
        SettingsError: one of them is invalid.
    """
    settings = read_settings()
    variables = {name: value for name, value in os.environ.items() if name.startswith("UNROLLED_")}
    deployment = serve.deployment(
        serve.ingress(create_replica)(Replica),
        name="unrolled",
        max_ongoing_requests=settings.queue_size + _EXTRA_REQUESTS,
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.requests,
        },
        ray_actor_options={
            "num_cpus": options.cpus,
            "num_gpus": options.gpus,
            "runtime_env": {"env_vars": variables},
        },
    )
    return deployment.bind()


@asynccontextmanager
async def _running(engine: Engine, state: State) -> AsyncIterator[None]:
    state.loading = asyncio.create_task(engine.load())
    try:
        yield
    finally:
        state.loading.cancel()
        await asyncio.wait([state.loading])
        await engine.worker.shut_down()
