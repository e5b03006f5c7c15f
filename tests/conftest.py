"""What several tests need: a clean environment, a running endpoint, a server that does as it is told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scillm_helpers.client import Client, connect
from scillm_helpers.endpoint import serve
from scillm_helpers.kernels import zygotes
from scillm_helpers.settings import Settings
from tests.harness import Smoke
from tests.scripted import ScriptedServer, serving

ROOT = Path(__file__).parent.parent
# Some tests import LiteLLM themselves, which would try to download its price map, and wait between its attempts.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
VARIABLES = [str(f.validation_alias) for f in Settings.model_fields.values()]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's variables, and a .env file above the working directory, out of the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LITELLM_RETRY_AFTER", "0.01")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[serve.Endpoint]:
    """Serve the embedded endpoint, without pauses between chunks."""
    running = serve.start(chunk_seconds=0)
    yield running
    running.stop()


@pytest.fixture
def llm(endpoint: serve.Endpoint) -> Client:
    """Return a client of the embedded endpoint, reached as a live one is."""
    return connect(settings=Settings.from_env({**endpoint.environ, "LITELLM_RETRY_AFTER": "0.01"}))


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """Serve answers that a test scripts."""
    with serving() as server:
        yield server


@pytest.fixture
def smoke(tmp_path: Path) -> Smoke:
    """Return a way to run `scillm-smoke` where nothing else is."""
    return Smoke(tmp_path)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[zygotes.Zygotes]:
    """Yield zygotes of the test's own, with little to import, and end them."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "colorsys")
    monkeypatch.setattr(zygotes, "_shared", zygotes.Zygotes())
    yield zygotes.shared()
    zygotes.shared().close()
