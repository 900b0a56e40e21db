"""Serve an application that hostile input is sent to.

Run it with ``python -m tests.integration.hostile_server h11``. It prints its port once it serves.
Its endpoints read bodies in every way.
"""

import sys
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, File, Form, Request, UploadFile, WebSocket
from pydantic import BaseModel, Field

from stockade import Settings, Stockade, body_limit, public
from stockade.validation import Upload, unbounded

Anything = Annotated[Any, Body(), unbounded("looked through all the same")]
HUGE = 100_000_000_000


class Plain(BaseModel):
    """A model of a team that knows nothing of Stockade."""

    name: str = Field(max_length=50)


def make_app() -> FastAPI:
    """Make the application."""
    app = FastAPI()
    Stockade(Settings(environment="test")).install(app)

    @app.get("/health")
    @public("the others meanwhile")
    async def health() -> str:
        return "ok"

    @app.post("/json")
    @public("test")
    async def json(item: Plain) -> str:
        return item.name

    @app.post("/large")
    @public("test")
    @body_limit(50_000_000)
    async def large(value: Anything) -> str:
        return type(value).__name__

    @app.post("/form")
    @public("test")
    @body_limit(50_000_000)
    async def form(name: Annotated[str, Form(max_length=50)]) -> str:
        return name

    @app.post("/upload")
    @public("test")
    @body_limit(50_000_000)
    async def upload(
        file: Annotated[UploadFile, File(), Upload("text/plain", max_size="40 MB")],
    ) -> int:
        return len(await file.read())

    @app.post("/raw")
    @public("test")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.websocket("/socket")
    @public("test")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    @app.post("/stream")
    @public("test")
    @body_limit(HUGE)
    async def stream(request: Request) -> int:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return size

    return app


class Announced(uvicorn.Server):
    """A server that prints its port."""

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - as its base
        """Start, and say where."""
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the test


def main() -> None:
    """Serve until the process is ended."""
    config = uvicorn.Config(
        make_app(),
        host="127.0.0.1",
        port=0,
        http=sys.argv[1],
        log_level="critical",
        lifespan="on",
    )
    Announced(config).run()


if __name__ == "__main__":
    main()
