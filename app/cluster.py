"""The service on several machines: `serve run app.cluster:app max_replicas=8`.

Ray Serve holds replicas of the service that `app.main` puts together, starts more of them as
requests come in, and shares the requests among them. A replica takes requests once it has loaded
its models. Knows Ray Serve; does not know what the service does. Needs the extra `cluster`.
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

__all__ = ["ClusterOptions", "app", "create_replica", "fit_to_share"]

# Ray keeps back what a replica may not take yet, however long that is. It may take a few more
# requests than its queue holds, so that those that are too many get the service's own answer.
_BEYOND_THE_QUEUE = 16


class ClusterOptions(BaseModel):
    """What `serve run app.cluster:app name=value ...` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(1, ge=0, description="Replicas that there are without requests.")
    max_replicas: int = Field(4, ge=1, description="Replicas that there are at most.")
    cpus: float = Field(2, gt=0, description="Cores of a replica.")
    gpus: float = Field(0, ge=0, description="GPUs of a replica; several may share one.")
    requests: float = Field(4, gt=0, description="Requests in hand that a replica is meant for.")

    @model_validator(mode="after")
    def _are_in_order(self) -> "ClusterOptions":
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must be at most max_replicas")
        return self


class OneRequestId:
    """Takes X-Request-ID out of the answer: Ray's proxy puts the same one in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["X-Request-ID"]
            await send(message)

        await self.app(scope, receive, send_without_id)


def fit_to_share(settings: Settings, resources: Mapping[str, float]) -> Settings:
    """Take threads and device from what Ray gave the replica, unless they are set.

    Args:
        settings: of the environment.
        resources: how much of which resource the replica has; a machine's own count of its cores
            says nothing here, since several replicas share it.
    """
    share = {
        "threads": max(1, int(resources.get("CPU", 1))),
        "device": "cuda" if resources.get("GPU") else "cpu",
    }
    given = settings.model_fields_set
    return settings.model_copy(update={n: v for n, v in share.items() if n not in given})


def create_replica() -> FastAPI:
    """Wire the service as a replica has it; it loads its models in the background."""
    resources = ray.get_runtime_context().get_assigned_resources()
    service = create_app(fit_to_share(read_settings(), resources))
    engine: Engine = service.state.engine
    # Under uvicorn weights that cannot be loaded end the process. Here whoever deploys is told, by
    # way of `Replica.check_health`.
    service.router.lifespan_context = lambda _: _running(engine, service.state)
    service.add_middleware(OneRequestId)
    return service


class Replica:
    """What Ray asks beside the requests; Ray gives it the service as `app`."""

    app: FastAPI

    async def check_health(self) -> None:
        """Wait for the models: until they are loaded, Ray sends no request here.

        Raises:
            ValueError: they cannot be loaded; the message says why.
        """
        await asyncio.shield(self.app.state.loading)


def app(options: ClusterOptions) -> Any:
    """Give the application that Ray Serve is to run.

    Every replica, on whatever machine, has the UNROLLED_* variables of this process.

    Raises:
        SettingsError: one of them makes no sense.
    """
    settings = read_settings()
    variables = {name: value for name, value in os.environ.items() if name.startswith("UNROLLED_")}
    deployment = serve.deployment(
        serve.ingress(create_replica)(Replica),
        name="unrolled",
        max_ongoing_requests=settings.queue_size + _BEYOND_THE_QUEUE,
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
