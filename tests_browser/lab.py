"""A real JupyterLab, as `make lab` starts it, in a folder and a home of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from scillm_helpers.endpoint.serve import Endpoint
from tests.conftest import ROOT


@dataclass(frozen=True)
class Lab:
    """Be a running JupyterLab: the folder that it shows, the URL that it has printed, and all that it printed before."""

    folder: Path
    url: str
    printed: str
    token: str = field(repr=False)
    output: IO[str] = field(repr=False)

    @property
    def base(self) -> str:
        """Return its scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def url_of(self, name: str) -> str:
        """Return the URL that opens a file, and nothing that was open before."""
        return f"{self.base}/lab/tree/{quote(name)}?reset&token={self.token}"

    def next_line(self) -> str:
        """Return the next line that it prints."""
        return self.output.readline().rstrip()

    def end_kernels(self) -> None:
        """End every kernel, as whoever cleans up would."""
        with httpx.Client(base_url=self.base, headers={"Authorization": f"token {self.token}"}) as client:
            for session in client.get("/api/sessions").json():
                client.delete(f"/api/sessions/{session['id']}")


def environ_on(endpoint: Endpoint) -> dict[str, str]:
    """Return the environment of a JupyterLab: on that endpoint, with the gates open."""
    gates = {"SCILLM_ALLOW_STREAM_SMOKE": "1", "SCILLM_ALLOW_TOOLS_SMOKE": "1"}
    return {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost", **gates, **endpoint.environ}


@contextmanager
def running(folder: Path, home: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[Lab]:
    """Start JupyterLab on `folder`, wait until it serves, and stop it after; its log is in `home`."""
    command = [sys.executable, "-m", "tools.lab", str(folder), *arguments]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lab.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={"HOME": str(home), **environ}, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        printed, url = _welcome(process)
        assert process.stdout is not None
        yield Lab(folder, url, printed, parse_qs(urlsplit(url).query)["token"][0], process.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def _welcome(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what is printed up to the URL, and the URL."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "http://" in line:
            return "".join(lines), line.strip()
    raise AssertionError(f"JupyterLab has ended with {process.wait()} and printed {''.join(lines)!r}")
