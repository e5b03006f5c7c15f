import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import litellm
import pytest

from scillm_helpers.client import Client, connect
from scillm_helpers.endpoint import serve
from scillm_helpers.errors import AuthError, EndpointError, UnknownModelError
from scillm_helpers.retries import retry_after
from scillm_helpers.settings import Settings
from tests.scripted import ScriptedServer, answer, completion, error

SAY_OK = [{"role": "user", "content": "In one word, say OK"}]


def test_kwargs_reach_the_endpoint_through_plain_litellm(llm: Client) -> None:
    """What a notebook spreads into the real call is all that the call needs."""
    reply = litellm.completion(**llm.kwargs, messages=SAY_OK, max_tokens=8, temperature=0)
    assert reply.choices[0].message.content == "OK"


async def _acomplete(llm: Client) -> str:
    reply = await llm.acompletion(**llm.kwargs, messages=SAY_OK)
    return str(reply.choices[0].message.content)


def test_completion_and_acompletion_say_the_same(llm: Client) -> None:
    """Both calls take the connection spread in, or fill it in themselves."""
    assert llm.completion(messages=SAY_OK).choices[0].message.content == "OK"
    assert llm.completion(**llm.kwargs, messages=SAY_OK).choices[0].message.content == "OK"
    assert asyncio.run(_acomplete(llm)) == "OK"


def test_model_names_with_a_provider_in_them_arrive_whole(scripted: ScriptedServer) -> None:
    """`openai/gpt-oss-120b` is one name on a gateway; LiteLLM's `openai` route would cut it."""
    scripted.answers.append(completion())
    scripted.client(CHUTES_MODEL="openai/gpt-oss-120b").completion(messages=SAY_OK)
    assert scripted.bodies[0]["model"] == "openai/gpt-oss-120b"
    assert scripted.headers[0]["Authorization"] == "Bearer obviously-fake"


def test_embedded_endpoint_is_started_once_and_said_once() -> None:
    """With no base, the clients of a process share its one endpoint."""
    script = "from scillm_helpers import connect; a, b = connect(), connect(); print(a.api_base == b.api_base, a.model)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=True
    )
    said = "CHUTES_API_BASE is not set: using the embedded endpoint."
    assert done.stdout.splitlines() == [said, "True embedded/omni-1"]


def test_models_and_purposes(endpoint: serve.Endpoint) -> None:
    """A purpose has its own model; the list is the endpoint's."""
    environ = endpoint.environ | {"CHUTES_VLM_MODEL": "embedded/omni-1", "CHUTES_MODEL": "embedded/text-1"}
    llm = connect(settings=Settings.from_env(environ))
    assert llm.models() == ["embedded/omni-1", "embedded/text-1", "embedded/mini-1"]
    assert (llm.model, llm.text_model, llm.vlm_model) == ("embedded/text-1", "embedded/text-1", "embedded/omni-1")
    assert connect(purpose="vlm", settings=Settings.from_env(environ)).model == "embedded/omni-1"
    assert connect("embedded/mini-1", settings=Settings.from_env(environ)).model == "embedded/mini-1"


def test_key_shows_nowhere(llm: Client) -> None:
    """Neither the client nor its arguments print the key."""
    assert llm.api_key in llm.kwargs.values()
    assert llm.api_key not in f"{llm!r} {llm.kwargs!r} {llm.kwargs}"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_transient_failure_is_tried_again(scripted: ScriptedServer, status: int) -> None:
    """A busy provider is asked once more."""
    scripted.answers += [error(status), completion()]
    assert scripted.client().completion(messages=SAY_OK).choices[0].message.content == "OK"
    assert len(scripted.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_lasting_failure_is_raised_at_once(scripted: ScriptedServer, status: int) -> None:
    """What will not get better is asked once."""
    scripted.answers += [error(status), error(500)]
    with pytest.raises(Exception, match=r"scripted|refused the key"):
        scripted.client().completion(messages=SAY_OK)
    assert len(scripted.bodies) == 1


@pytest.mark.parametrize("retries", [0, 2])
def test_attempts_do_not_multiply(scripted: ScriptedServer, retries: int) -> None:
    """LITELLM_MAX_RETRIES more attempts, and LiteLLM's and openai's own come on top of none."""
    scripted.answers += [error(503)] * 9
    with pytest.raises(litellm.exceptions.ServiceUnavailableError):
        scripted.client(LITELLM_MAX_RETRIES=str(retries)).completion(messages=SAY_OK)
    assert len(scripted.bodies) == 1 + retries


def test_attempts_do_not_multiply_async(scripted: ScriptedServer) -> None:
    """The awaited call counts the same."""
    scripted.answers += [error(500)] * 9
    llm = scripted.client(LITELLM_MAX_RETRIES="1")
    with pytest.raises(litellm.exceptions.InternalServerError):
        asyncio.run(llm.acompletion(messages=SAY_OK))
    assert len(scripted.bodies) == 2


def test_retry_after_is_honoured(scripted: ScriptedServer) -> None:
    """The provider's wait is kept, though LITELLM_RETRY_AFTER is far shorter."""
    scripted.answers += [error(429, Retry_After="1"), completion()]
    started = time.monotonic()
    scripted.client(LITELLM_RETRY_AFTER="0").completion(messages=SAY_OK)
    assert time.monotonic() - started >= 1


def test_retry_after_beyond_the_timeout_is_not_waited_for(scripted: ScriptedServer) -> None:
    """An hour's wait is raised at once, as the error that asked for it."""
    scripted.answers += [error(429, Retry_After="3600"), completion()]
    with pytest.raises(litellm.exceptions.RateLimitError) as caught:
        scripted.client().completion(messages=SAY_OK)
    assert len(scripted.bodies) == 1
    assert retry_after(caught.value) == 3600


def test_retry_after_may_be_a_date(scripted: ScriptedServer) -> None:
    """An HTTP-date counts from now."""
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    scripted.answers.append(error(429, Retry_After=later))
    with pytest.raises(litellm.exceptions.RateLimitError) as caught:
        scripted.client().completion(messages=SAY_OK)
    assert 3500 < (retry_after(caught.value) or 0) <= 3600


def _drip(scripted: ScriptedServer) -> None:
    """Send a byte now and then, for as long as the test lasts: no read ever times out."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        while not scripted.gone.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    scripted.answers.append(send)


def test_attempt_is_bounded_though_bytes_drip(scripted: ScriptedServer) -> None:
    """LITELLM_TIMEOUT bounds the call, not each read of it."""
    _drip(scripted)
    with pytest.raises(litellm.exceptions.Timeout, match=r"no answer within 0\.5 s"):
        scripted.client(LITELLM_TIMEOUT="0.5", LITELLM_MAX_RETRIES="0").completion(messages=SAY_OK)


def test_awaited_attempt_is_bounded_though_bytes_drip(scripted: ScriptedServer) -> None:
    """The awaited call is bounded too."""
    _drip(scripted)
    llm = scripted.client(LITELLM_TIMEOUT="0.5", LITELLM_MAX_RETRIES="0")
    with pytest.raises(litellm.exceptions.Timeout, match=r"no answer within 0\.5 s"):
        asyncio.run(llm.acompletion(messages=SAY_OK))


def test_httpx_timeout_is_taken_as_litellm_takes_it(llm: Client) -> None:
    """It bounds the reads; LITELLM_TIMEOUT bounds the attempt."""
    import httpx

    for timeout in (httpx.Timeout(5), "5", 5):
        assert llm.completion(messages=SAY_OK, timeout=timeout).choices[0].message.content == "OK"


def test_unknown_model_names_the_nearest(llm: Client) -> None:
    """A misspelt model is answered with those that it may have meant."""
    with pytest.raises(UnknownModelError, match=r"embeded/omni-1 is not a model that .* did you mean embedded/omni-1"):
        llm.completion(model="embeded/omni-1", messages=SAY_OK)


def test_wrong_key_is_one_line(llm: Client) -> None:
    """A refused key says which endpoint, and what to check."""
    with pytest.raises(AuthError, match=r"^http://\S+ refused the key \(HTTP 401\); check CHUTES_API_KEY\.$"):
        llm.completion(api_key="obviously-fake", messages=SAY_OK)


def test_unreachable_base_is_one_line(llm: Client) -> None:
    """A base where nothing listens is named after the retries."""
    with pytest.raises(EndpointError, match=r"^http://127\.0\.0\.1:9/v1 cannot be reached; check CHUTES_API_BASE"):
        llm.completion(api_base="http://127.0.0.1:9/v1", messages=SAY_OK)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, {}, r"/v1/models answered HTTP 404; check that CHUTES_API_BASE ends in /v1"),
        (200, {"no": "data"}, r"answered with no list of models; check CHUTES_API_BASE"),
        (200, {"data": []}, r"lists no models; set CHUTES_MODEL"),
        (403, {}, r"refused the key \(HTTP 403\); check CHUTES_API_KEY"),
    ],
)
def test_base_that_lists_nothing_is_one_line(scripted: ScriptedServer, status: int, body: object, message: str) -> None:
    """With no model set, connecting asks for the list, and says what is wrong with the answer."""
    scripted.answers.append(answer(status, body))
    with pytest.raises(EndpointError, match=message):
        scripted.client(CHUTES_MODEL="")


@pytest.mark.parametrize("httpx", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_exit_is_silent_on_both_transports(tmp_path: Path, httpx: str) -> None:
    """No "Unclosed client session", no warning, after a call, an early break and a loop that ended."""
    script = tmp_path / "script.py"
    script.write_text("""
import asyncio
from scillm_helpers import TextStream, connect, loops
llm = connect()
messages = [{"role": "user", "content": "Tell me a 10 word story."}]
async def tell(most):
    async with TextStream(llm.acompletion(messages=messages, stream=True), most) as stream:
        return "".join([text async for text in stream])
print(loops.run(tell(None)), asyncio.run(tell(2)), loops.run(tell(1)), sep="|")
""")
    environ = {"PATH": "/usr/bin:/bin", "SCILLM_FORCE_HTTPX_STREAM": httpx}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environ, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1].endswith("softly.|The old|The")


def test_scillm_backend_takes_its_own_route(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """Where scillm is installed it is used: openai_like, no key, and the Bearer header.

    The real one installs from source only; this stands in for it and shows what it is called with.
    """
    (tmp_path / "scillm.py").write_text("def completion(**call):\n    return call\n")
    script = "from scillm_helpers import connect; print(dict(connect().completion(messages=[])))"
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)} | endpoint.environ
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=True)
    called = eval(done.stdout)
    assert (called["custom_llm_provider"], called["api_key"]) == ("openai_like", None)
    assert called["extra_headers"] == {"Authorization": f"Bearer {endpoint.api_key}"}


@pytest.mark.parametrize("call", ["llm.completion(messages=[])", "loops.run(llm.acompletion(messages=[]))"])
def test_import_of_the_library_is_no_part_of_an_attempt(tmp_path: Path, endpoint: serve.Endpoint, call: str) -> None:
    """A first call is not given up because its import takes longer than the call may."""
    (tmp_path / "scillm.py").write_text(
        "import asyncio, time\n"
        "clock = time.monotonic\n"
        "time.monotonic = lambda: clock() + 3600  # it has taken an hour\n"
        "def completion(**call):\n    return 'answered'\n"
        "async def acompletion(**call):\n    await asyncio.sleep(0.01)\n    return 'answered'\n"
    )
    script = f"from scillm_helpers import connect, loops; llm = connect(); print({call})"
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "LITELLM_TIMEOUT": "60"} | endpoint.environ
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ)
    assert (done.stdout, done.stderr) == ("answered\n", "")
