"""The routes of the embedded endpoint: HTTP <-> `replies` and `bodies`, and what `faults` makes of them."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import FaultError
from . import bodies, broken, replies
from .answers import Answer, AnswerResponse, json_bytes
from .catalogue import BY_ID
from .faults import HEADER, OK, Fault, Faults
from .gateway import HANDLERS, authorize, read_body
from .log import RequestLog, RequestLogMiddleware
from .problems import Problem, bad_request
from .requests import ChatRequest, parse

MAX_DEPTH = 100  # levels of nesting

Client = tuple[str, int] | None  # its address and port


class _Refused(Exception):
    """Answer a request with a fault's refusal."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def create_app(
    api_key: str,
    log: RequestLog,
    faults: Faults,
    chunk_seconds: Callable[[], float],
    paced: bool,
    reset: Callable[[Client], None],
) -> Starlette:
    """Return the application.

    Every route wants `Authorization: Bearer <api_key>`. What `chunk_seconds` returns lies between the
    chunks of a stream, so that it can be watched, and left early, like one that a model writes;
    `paced`, a whole reply takes as long as its stream. `reset` resets a client's connection.
    """

    def meet(request: Request, fault: Fault | None) -> None:
        """Have a request meet its fault: what refuses it ends it here."""
        authorize(request, api_key, "x-api-key" if fault is not None and fault.name == "x-api-key" else "Authorization")
        request.state.fault = None if fault is None or fault.name == OK else fault.name
        if fault is not None and (answer := broken.refusal(fault)):
            raise _Refused(answer)

    async def models(request: Request) -> Response:
        authorize(request, api_key)
        return JSONResponse(bodies.models())

    async def model(request: Request) -> Response:
        authorize(request, api_key)
        return JSONResponse(bodies.model_body(request.path_params["model"]))

    async def chat(request: Request) -> Response:
        fault = faults.next(request.headers)
        try:
            meet(request, fault)
            asked = parse(_decode(await read_body(request)))
        except Problem:
            faults.put_back(request.headers, fault)
            raise
        request.state.model, request.state.stream = asked.model, bool(asked.stream)
        if fault is None and (fault := faults.for_model(asked.model)):
            meet(request, fault)
        if fault is not None and fault.name == OK:
            fault = None
        said = await run_in_threadpool(replies.reply, asked)
        pause = chunk_seconds() / BY_ID[said.model].speed
        if fault is None and not asked.stream:
            if paced:
                await asyncio.sleep(pause * said.usage["completion_tokens"])
            return JSONResponse(bodies.body(said))
        answer = _answer(asked, said, fault)
        return AnswerResponse(answer, pause if asked.stream else 0, lambda: reset(request.client))

    app = Starlette(
        routes=[
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/models/{model:path}", model, methods=["GET"]),
            Route("/v1/chat/completions", chat, methods=["POST"]),
        ],
        middleware=[Middleware(RequestLogMiddleware, log=log)],
        exception_handlers={
            **HANDLERS,
            FaultError: _answer_fault_error,
            _Refused: _answer_refused,
            Exception: _answer_mistake,
        },
    )
    # A redirect has no shape of OpenAI's, and some clients turn the POST into a GET.
    app.router.redirect_slashes = False
    return app


async def _answer_mistake(request: Request, error: Exception) -> Response:
    """Give a mistake of this endpoint OpenAI's shape too; Starlette raises it again, for the log."""
    problem = Problem(500, "The embedded endpoint made a mistake.", type="server_error")
    return JSONResponse(problem.body, status_code=problem.status)


def _answer(asked: ChatRequest, said: replies.Reply, fault: Fault | None) -> Answer:
    """Return what goes out: of a stream server-sent events, as OpenAI's streaming reference has them."""
    if fault is not None:
        broken.check(fault, bool(asked.stream))
        said = broken.say(fault, said)
    if asked.stream:
        include_usage = asked.stream_options is not None and asked.stream_options.include_usage
        events = [b"data: " + json_bytes(chunk) + b"\n\n" for chunk in bodies.chunks(said, include_usage)]
        answer = Answer(200, {"Content-Type": "text/event-stream"}, (*events, b"data: [DONE]\n\n"))
    else:
        body = json_bytes(bodies.body(said))
        answer = Answer(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, (body,))
    return answer if fault is None else broken.send(fault, answer)


def _decode(data: bytes) -> Any:
    try:
        payload = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
        # A lone surrogate ("\ud800") is legal JSON and cannot be written as UTF-8 again.
        json.dumps(payload, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"We could not parse the JSON body of your request: {error}", code="invalid_json") from error
    if _deeper_than(payload, MAX_DEPTH):
        raise bad_request(f"The JSON body is nested more than {MAX_DEPTH} levels deep.", code="invalid_json")
    return payload


def _deeper_than(value: Any, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(part, levels - 1) for part in parts)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is out of range")
    return float(number)


async def _answer_fault_error(request: Request, error: Exception) -> Response:
    problem = bad_request(str(error), HEADER, "unknown_fault")
    return JSONResponse(problem.body, status_code=problem.status)


async def _answer_refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, _Refused)
    return Response(refused.answer.body, refused.answer.status, refused.answer.headers)
