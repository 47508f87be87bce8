"""The least that FastAPI can do: a handler that returns the same bytes always, on the server
that an edge has, in a process of its own; a child of `api_reads`."""

import asyncio
import json
import sys

from fastapi import FastAPI, Response

from twin_runtime.adapters.broker import free_port
from twin_runtime.adapters.http_server import bind, serve


def main(body: str) -> None:
    """Serve, and say at which port."""
    app = FastAPI()
    content = body.encode()

    @app.get("/api/2/things/{thing_id}")
    async def one(thing_id: str) -> Response:  # noqa: ARG001 - it is in the path
        return Response(content, media_type="application/json")

    listener = bind("127.0.0.1", free_port())
    print(listener.getsockname()[1], flush=True)
    asyncio.run(serve(app, listener))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
