"""What every served application does alike: it wants the key, bounds a body, and answers errors in OpenAI's shape."""

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from .problems import Problem

_CLIENT_CLOSED_REQUEST = 499  # nginx's status; it stands in the log alone
MAX_BODY = 32 * 1024 * 1024  # bytes


def authorize(request: Request, api_key: str, header: str = "Authorization") -> None:
    """Raise Problem (401) where a request does not bring the key: as a bearer, or by itself in another header."""
    sent = request.headers.get(header, "")
    hint = f"{header}: KEY"
    if header == "Authorization":
        scheme, _, key = sent.partition(" ")
        sent, hint = key if scheme.lower() == "bearer" else "", f"{header}: Bearer KEY"
    if not hmac.compare_digest(sent.strip().encode(), api_key.encode()):
        message = "Incorrect API key provided." if sent else f"No API key provided: send '{hint}'."
        raise Problem(401, message, code="invalid_api_key")


async def read_body(request: Request) -> bytes:
    """Read the body, and stop at the limit: what a client claims as its length is not relied on."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > MAX_BODY:
            raise Problem(413, f"The body is larger than {MAX_BODY} bytes.", code="request_too_large")
    return bytes(read)


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return JSONResponse(problem.body, status_code=problem.status)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Give Starlette's own 404 and 405 OpenAI's shape, and keep their headers (`Allow`)."""
    assert isinstance(error, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path})"
    if error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
    problem = Problem(error.status_code, message)
    return JSONResponse(problem.body, status_code=problem.status, headers=error.headers)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """End a request whose client has left before its body was whole; nothing of this is sent."""
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


HANDLERS = {Problem: _answer_problem, HTTPException: _answer_http_exception, ClientDisconnect: _answer_nobody}
