"""What a recording and a replay do alike: one handler for all under the base, and requests in canonical form."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .canonical import Asked
from .cleaning import Clean
from .gateway import HANDLERS, authorize, read_body
from .log import RequestLogMiddleware
from .problems import Problem
from .server import Server

_ROOT = "/v1"

Handler = Callable[[Request, Asked, bytes], Awaitable[Response]]

# Failed Dependency: a 4xx that no client tries again, and from which nobody concludes what a model can do.
_FAILED_DEPENDENCY = 424


def application(server: Server, clean: Clean, handle: Handler) -> Starlette:
    """Return an application that wants the key of `server`, and answers all under the base with `handle`.

    That is given the request, its canonical form, and its body as it was sent.
    """

    async def route(request: Request) -> Response:
        authorize(request, server.api_key)
        body = await read_body(request)
        asked = Asked.of(request.method, path_of(request), body, clean)
        request.state.model = asked.model or None
        request.state.stream = isinstance(asked.body, dict) and asked.body.get("stream") is True
        return await handle(request, asked, body)

    return Starlette(
        routes=[Route(_ROOT + "/{path:path}", route, methods=["GET", "POST"])],
        middleware=[Middleware(RequestLogMiddleware, log=server.log)],
        exception_handlers=HANDLERS,
    )


def path_of(request: Request) -> str:
    """Return the path of a request under the base, as it was sent, with its query."""
    path = request.scope["raw_path"].decode("latin-1").removeprefix(_ROOT)
    return f"{path}?{query}" if (query := request.url.query) else path


def cannot(message: str, code: str) -> Problem:
    """Return the refusal of a request for which there is no recording, or can be none."""
    # Not OpenAI's invalid_request_error: LiteLLM makes a 400 of that, whatever the status.
    return Problem(_FAILED_DEPENDENCY, message, type="recording_error", code=code)


def resetting(request: Request, server: Server) -> Callable[[], None]:
    """Return what resets the connection that a request came through."""
    return lambda: server.reset(request.client)
