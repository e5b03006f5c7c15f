"""Canaries in every channel of a notebook: no byte that is written holds one, not even for a moment."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from scillm_helpers.endpoint import serve
from tests.canaries import traces
from tests.harness import SMOKE, Smoke, write

CANARY = "canary-5up3r+s3cr3t/f00"  # a value of the environment
GIVEN = "canary-0n-the-l1ne"  # a parameter

CHANNELS = [
    "import base64, html, io, json, logging, os, subprocess, sys, urllib.parse\nfrom IPython.display import *\nkey = os.environ['MY_API_KEY']",
    "print(key, given); print(urllib.parse.quote(key, safe=''), base64.b64encode(b'ab' + key.encode()), key.encode().hex(), repr([key]))",
    "print(key[:9], end='', flush=True); display(1); print(key[9:])\nsys.stderr.write(key)",
    "print(json.dumps({'inner': json.dumps(key)})); print(dict(os.environ)); print(os.environ)",
    "subprocess.run(['printenv'], check=True); os.system('env | base64')",
    "from scillm_helpers import connect\nimport openai\nllm = connect()\nprint(llm, llm.kwargs, vars(llm), llm.settings.api_key.get_secret_value())\nclient = openai.OpenAI(api_key=key)\nprint(client, vars(client))",
    "logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)\nlogging.getLogger('httpcore').setLevel(logging.DEBUG)\nllm.completion(messages=[{'role': 'user', 'content': key}], extra_headers={'X-Key': key})\nimport httpx\nprint(httpx.Request('GET', f'http://me:{urllib.parse.quote(key, safe=str())}@localhost/', params={'key': key}, headers={'Authorization': f'Bearer {key}'}).headers.raw)",
    "display(HTML(f'<b>{html.escape(key[:5])}</b><i>{key[5:]}</i><script>{key}</script>'), Markdown(f'`{key}`'), SVG(f'<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{key}</text></svg>'), JSON({key: [key]}), raw=False)",
    "from PIL import Image as Pillow, PngImagePlugin\ninfo = PngImagePlugin.PngInfo()\ninfo.add_text('Comment', key)\ninfo.add_text('Author', key, zip=True)\nfile = io.BytesIO()\nPillow.new('RGB', (4, 4)).save(file, 'PNG', pnginfo=info)\ndisplay(Image(file.getvalue()))\nMarkdown(f'![x](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})')",
    "from comm import create_comm\nmodel = create_comm(target_name='jupyter.widget', data={'state': {'_model_name': 'TextModel', '_model_module': 'm', '_model_module_version': '1', 'value': key}, 'buffer_paths': []}, metadata={'version': '2.1.0'})\ndisplay({'application/vnd.jupyter.widget-view+json': {'model_id': model.comm_id, 'version_major': 2, 'version_minor': 0}, 'text/plain': key}, raw=True, metadata={'k': key})",
    "from scillm_helpers import record\nrecord('chat', ok=True, model=llm.model, said=key, nested={'k': [key]})",
    "import time; time.sleep(1.2)  # long enough for the copy to be saved in between",
    "raise ValueError(f'the key {key} is wrong')",
]


@pytest.fixture
def strace() -> str:
    """Return the tool that sees each write; `.ci/run` installs it."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    return found


def test_no_write_holds_a_canary(smoke: Smoke, endpoint: serve.Endpoint, strace: str) -> None:
    """Every write to a file, of the harness and its kernels, and every file that is left."""
    write(smoke.folder / "a.ipynb", *CHANNELS, parameters="given = ''\napi_key = ''")
    write(
        smoke.folder / "b.ipynb",
        "import os\nprint(os.environ['MY_API_KEY'])",
        "import faulthandler; faulthandler._sigabrt()",
        parameters="given = ''\napi_key = ''",
    )
    (smoke.folder / ".env").write_text("OTHER_TOKEN=canary-fr0m-the-f1le\n")
    (smoke.folder / "tmp").mkdir()
    log = smoke.folder.parent / f"{smoke.folder.name}.strace"
    watched = "write,pwrite64,writev,pwritev,pwritev2"  # the others copy what is in a file already
    command = [
        strace,
        "-f",
        "-y",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={watched}",
        "-e",
        "signal=none",
        "-xx",
        "-s",
        "9999999",
    ]
    arguments = ["run", "a.ipynb", "b.ipynb", "-p", f"given={GIVEN}", "-p", f"api_key={GIVEN}", "--out", str(smoke.out)]
    environ = smoke.environ | endpoint.environ | {"MY_API_KEY": CANARY, "OTHER_TOKEN": "canary-fr0m-the-shell"}
    environ |= {"TMPDIR": str(smoke.folder / "tmp"), "SCILLM_SECRETS": "MY_*"}
    done = subprocess.run(
        [*command, "-o", str(log), *SMOKE, *arguments], cwd=smoke.folder, env=environ, capture_output=True, check=False
    )
    assert done.returncode == 1, done
    results = json.loads((smoke.out / "results.json").read_text())
    assert [case["status"] for case in results["cases"]] == ["failed", "kernel_died"]
    assert results["cases"][0]["reason"]["cell"] == len(CHANNELS) + 2, results["cases"][0]["reason"]
    secrets = [CANARY, GIVEN, endpoint.api_key, "canary-fr0m-the-f1le", "canary-fr0m-the-shell"]
    forms = [trace for secret in secrets for trace in traces(secret)]

    written = _written_to_files(log)
    assert sum(map(len, written.values())) > 100_000  # it has watched
    assert any("a.ipynb" in path for path in written)
    for path, content in written.items():
        assert not _held(forms, content), path
    for path in [path for path in smoke.folder.rglob("*") if path.is_file()]:
        if path.name not in ("a.ipynb", "b.ipynb", ".env") or smoke.out in path.parents:
            assert not _held(forms, path.read_bytes()), path
    assert not _held(forms, done.stdout + done.stderr)
    assert not list(smoke.folder.rglob("core*"))
    assert _compressed_texts(smoke.out / "notebooks" / "a.ipynb") == []
    copy = (smoke.out / "notebooks" / "a.ipynb").read_text()
    assert copy.count("[redacted MY_API_KEY]") > 30
    assert "[redacted given]" not in copy  # `given` is named like no secret: its value is redacted as that of `api_key`
    assert "[redacted api_key]" in copy


def test_parameter_that_was_redacted_cannot_be_resumed(smoke: Smoke) -> None:
    """The run has not kept it, so that it must not go on with a placeholder."""
    write(smoke.folder / "a.ipynb", "assert False", parameters="api_key = ''")
    assert smoke.run("a.ipynb", "-p", f"api_key={GIVEN}").returncode == 1
    assert smoke.case["parameters"] == {"api_key": "[redacted api_key]"}
    done = smoke("run", "--resume", smoke.out)
    assert done.returncode == 2
    assert done.stderr == (
        "scillm-smoke: out was given a secret as a parameter, which it has not kept; start a new run.\n"
    )


def test_secret_in_the_name_of_a_notebook_and_of_a_model(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """Neither a file's name, nor a line on the terminal, nor the history has it."""
    write(smoke.folder / f"k_{GIVEN}.ipynb", "raise ValueError")
    done = smoke.run(f"k_{GIVEN}.ipynb", MY_TOKEN=GIVEN)
    assert done.returncode == 1
    assert GIVEN not in done.stdout
    for path in [*smoke.out.rglob("*"), *(smoke.folder / "runs").rglob("*")]:
        assert GIVEN not in path.name
        assert not path.is_file() or GIVEN.encode() not in path.read_bytes(), path
    assert smoke("report", smoke.out, MY_TOKEN=GIVEN).returncode == 0


def test_secret_that_looks_like_the_format_breaks_no_file(smoke: Smoke) -> None:
    """Values are redacted, and never the words that make a file what it is."""
    secrets = ["notebook", 'passed",', "</script>", "metadata", "testcase"]
    variables = {f"DB_{number}_PASSWORD": secret for number, secret in enumerate(secrets)}
    write(smoke.folder / "a.ipynb", f"print(*{secrets})")
    assert smoke.run("a.ipynb", **variables).returncode == 0
    assert smoke.case["status"] == "passed"
    assert smoke("report", smoke.out, **variables).returncode == 0
    assert smoke("history", "--import", smoke.out, **variables).returncode == 0
    assert ElementTree.parse(smoke.out / "junit.xml").find(".//testcase") is not None
    assert smoke.copy("a")[0].outputs[0].output_type == "stream"


def test_flood_of_a_secret_leaves_no_half_of_it(smoke: Smoke) -> None:
    """What bounds an output cuts in the kernel, where nothing is known of secrets."""
    flood = "import os\nfor _ in range(60_000):\n    print(os.environ['A_TOKEN'] * 3)"
    write(smoke.folder / "a.ipynb", flood, "raise ValueError('p' * 99_990 + os.environ['A_TOKEN'] + 'q' * 300_000)")
    assert smoke.run("a.ipynb", A_TOKEN=CANARY).returncode == 1
    text = "".join(output.get("text", "") for output in smoke.copy("a")[0].outputs)
    assert "[scillm-smoke dropped " in text
    for name in ("a.ipynb", "a.html"):
        content = (smoke.out / "notebooks" / name).read_text()
        assert CANARY[:6] not in content
        assert CANARY[-6:] not in content


def test_short_secret_is_told(smoke: Smoke) -> None:
    """What cannot be found among ordinary text is named, once, and nothing is broken by it."""
    write(smoke.folder / "a.ipynb", "print('ollama')")
    done = smoke.run("a.ipynb", MY_API_KEY="ollama", A_TOKEN="1")
    assert done.returncode == 0
    assert done.stderr == "scillm-smoke: MY_API_KEY is too short, or an ordinary word: it is not redacted.\n"
    assert smoke.copy("a")[0].outputs[0].text == "ollama\n"


def _written_to_files(log: Path) -> dict[str, bytes]:
    """Return what was written to each regular file, from strace's log."""
    written: dict[str, bytes] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\d+ +p?writev?\w*\(\d+<([^>]*)>(?:\(deleted\))?, (.*)", line)
        assert match or "resumed>" in line or "+++" in line, line[:300]
        path = _unescaped(match[1]).decode() if match else ""
        if match and path.startswith("/") and not path.startswith("/dev/"):
            data = b"".join(map(_unescaped, re.findall(r'"((?:\\x[0-9a-f]{2})*)"', match[2])))
            written[path] = written.get(path, b"") + data
    return written


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _held(forms: list[bytes], content: bytes) -> list[bytes]:
    bare = re.sub(rb"\\n|\\r|\s|\x1b\[[0-9;]*m|\\u001b\[[0-9;]*m|<[^<>]*>", b"", content)
    return [form for form in forms if form in content or form in bare]


def _compressed_texts(notebook: Path) -> list[str]:
    """Return what the pictures of a notebook say beside their pixels."""
    said = []
    for encoded in re.findall(r"iVBORw0KGgo[A-Za-z0-9+/=]+", notebook.read_text(encoding="utf-8")):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            image.load()
            said += [str(value) for value in image.info.values()]
    assert "iVBORw0KGgo" in notebook.read_text(encoding="utf-8")
    return said
