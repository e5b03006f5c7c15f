"""What forks kernels: it dies with its owner, is replaced when it has died or is out of date, and never in the way."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from scillm_helpers.endpoint import serve
from scillm_helpers.kernels import zygotes
from scillm_helpers.kernels.preloading import Preloaded
from tests.conftest import ROOT
from tests.polling import PATIENCE, until
from tests.warm import COLD, FORKED, HOLD_THE_LOCK, WARM, Kernel, Owner, gone, module

pytestmark = pytest.mark.usefixtures("own")


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Return what the owner is warned of."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("scillm_helpers.kernels").addHandler(handler)
    yield told
    logging.getLogger("scillm_helpers.kernels").removeHandler(handler)


def _cold(kernel: Kernel) -> bool:
    return isinstance(kernel.manager.provisioner.process, subprocess.Popen)


def _zygotes(own: zygotes.Zygotes) -> list[int]:
    return [zygote._process.pid for zygote in own._zygotes.values()]


# Owners


@pytest.mark.parametrize(
    "end",
    [
        "SIGKILL",
        pytest.param("SIGTERM", marks=pytest.mark.slow),
        pytest.param("pass", marks=pytest.mark.slow),
        pytest.param("raise SystemExit(3)", marks=pytest.mark.slow),
    ],
)
def test_kernels_and_zygote_die_with_their_owner(end: str, tmp_path: Path) -> None:
    """However the owner dies, also with a kernel that lets no other thread of its own run."""
    owner = Owner(HOLD_THE_LOCK, tmp_path)
    try:
        if end.startswith("SIG"):
            owner.process.send_signal(signal.Signals[end])
        else:
            owner.tell(end)
        until(lambda: owner.process.poll() is not None)
        for pid in [owner.zygote, *owner.kernels]:
            until(lambda: gone(pid))  # noqa: B023
    finally:
        owner.close()


@pytest.mark.slow
def test_kernels_die_with_their_owner_when_the_zygote_died_before(tmp_path: Path) -> None:
    """Each kernel watches the owner itself."""
    owner = Owner("while True: pass", tmp_path)
    try:
        os.kill(owner.zygote, signal.SIGKILL)
        until(lambda: gone(owner.zygote))
        assert not any(gone(pid) for pid in owner.kernels)
        owner.process.kill()
        for pid in owner.kernels:
            until(lambda: gone(pid))  # noqa: B023
    finally:
        owner.close()


# Dead zygotes


@pytest.mark.slow
def test_kernels_outlive_their_zygote(own: zygotes.Zygotes, warnings: list[str]) -> None:
    """They go on, how they end is unknown; the next kernel is cold with a warning, the one after is warm."""
    with Kernel() as kernel:
        os.kill(kernel.zygote, signal.SIGKILL)
        until(lambda: gone(_zygotes(own)[0]))
        assert kernel("1 + 1") == 2
        with Kernel() as cold:
            assert _cold(cold)
        with Kernel() as warm, Kernel() as another:
            assert warm.zygote == another.zygote
        assert kernel.poll() is None
        kernel.client.execute("import os; os._exit(3)")
        assert until(kernel.poll) == 255
        assert kernel.manager.provisioner.process.lost
    assert warnings == ["a zygote has died; kernels start cold until the next one is ready."]


FAILING = [
    ("import os; os._exit(7)", "it has died with status 7"),
    ("import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()", "1 thread(s)"),
    ("import socket; server = socket.create_server(('127.0.0.1', 0))", "1 socket(s)"),
    ("import os; p = __file__ + '.x'; open(p, 'w').close(); open(p).close(); os.utime(p)", "has changed whenever"),
]


@pytest.mark.parametrize(("source", "cause"), FAILING)
def test_failing_preload_makes_kernels_cold(
    source: str, cause: str, warnings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning names the cause, however many kernels there are."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "failing")
    launch = module(tmp_path / "modules", "failing", source)
    for _ in range(2):
        kernel = Kernel(**launch)
        assert _cold(kernel)
        kernel.close()
    (warning,) = warnings
    assert warning.startswith("kernels start cold, because the zygote cannot serve: ")
    assert cause in warning


def test_cold_kernel_after_a_failed_preload_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has what the zygote lacks by its own means, and none of what the zygote set."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "failing")
    source = (
        "import os, sys\nif 'kernels.zygote' in str(sys.orig_argv): os._exit(7)\nvalue = os.environ['JPY_PARENT_PID']"
    )
    with Kernel(**module(tmp_path / "modules", "failing", source)) as kernel:
        assert _cold(kernel)
        assert kernel("__import__('failing').value") == str(os.getpid())


def test_cancelled_launch_leaves_no_kernel(own: zygotes.Zygotes) -> None:
    """Who no longer waits for a zygote to import gets no kernel that goes on unseen."""
    KernelProvisionerFactory.instance().default_provisioner_name = WARM

    async def cancel() -> None:
        starting = asyncio.ensure_future(AsyncKernelManager(kernel_name="python3").start_kernel())
        while not own._zygotes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(cancel())
    (zygote,) = own._zygotes.values()
    until(lambda: zygote.launched == 1)
    until(lambda: not psutil.Process(zygote._process.pid).children())


RAISING = [
    ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    pytest.param("raise KeyError('what')", "KeyError: 'what'", marks=pytest.mark.slow),
    pytest.param("raise SystemExit('enough')", "SystemExit: enough", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("source", "cause"), RAISING)
def test_module_that_raises_is_skipped(
    source: str, cause: str, warnings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are warm, with the rest preloaded; one warning names the cause, and a kernel's own import meets it."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "failing,colorsys")
    launch = module(tmp_path / "modules", "failing", source)
    for _ in range(2):
        with Kernel(**launch) as kernel:
            assert kernel(FORKED)
            assert kernel("[name in __import__('sys').modules for name in ('failing', 'colorsys')]") == [False, True]
            reply = kernel.client.execute_interactive("import failing", timeout=PATIENCE)
            assert reply["content"]["status"] == "error"
    assert warnings == [f"kernels are warm, but for what could not be imported: failing ({cause})."]


def _renamed(name: str) -> list[str]:
    """Return what is missing where any part of `name` has another name."""
    path, _, model = name.partition(":")
    parts = path.split(".")
    modules = [".".join([*parts[:cut], f"{parts[cut]}_renamed", *parts[cut + 1 :]]) for cut in range(len(parts))]
    return modules + ([f"{path}:{model}Renamed"] if model else [])


def test_renamed_module_or_model_is_skipped(warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another version of a library has renamed, kernels have all the rest."""
    missing = [*_renamed("xml.sax.handler"), *_renamed("xml.sax.handler:ContentHandler")]
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", ",".join([*missing, "colorsys"]))
    with Kernel() as kernel:
        assert kernel(FORKED)
        assert kernel("[name in __import__('sys').modules for name in ('xml.sax', 'colorsys')]") == [True, True]
    (warning,) = warnings
    assert all(f"{name} (" in warning for name in missing[:5])
    assert warning.endswith("; 2 more.")


@pytest.mark.slow
def test_default_list_has_nothing_that_is_skipped(warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries that are installed here have all of its modules and models."""
    monkeypatch.delenv("SCILLM_WARM_PRELOAD")
    with Kernel() as kernel:
        assert kernel(FORKED)
    assert warnings == []


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_have_cold_kernels(platform: str, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no zygote, and one warning says why."""
    monkeypatch.setattr(zygotes, "sys", type("System", (), {"platform": platform}))
    for _ in range(2):
        kernel = Kernel()
        assert _cold(kernel)
        kernel.close()
    assert warnings == ["kernels start cold, because the zygote cannot serve: it needs Linux."]


def test_slow_zygote_forks_nothing_later(
    own: zygotes.Zygotes, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch that was given up, and made cold, is not made again by a zygote that wakes up."""
    with Kernel() as first:
        zygote = psutil.Process(first.zygote)
        zygote.suspend()
        monkeypatch.setattr(zygotes, "_READY_SECONDS", 0.1)
        with Kernel() as kernel:
            assert _cold(kernel)
            zygote.resume()
            first.client.execute("import os; os._exit(3)")
            assert until(first.poll) == 3  # so the zygote has seen what was sent before
        until(lambda: gone(zygote.pid))
        assert zygote.pid not in _zygotes(own)
    assert warnings == ["kernels start cold, because the zygote cannot serve: it was not ready after 0.1 s."]


def test_dropped_launch_leaves_the_zygote_in_service() -> None:
    """An owner that closes the channel before it has asked gets no kernel, and the next launch does."""
    with Kernel() as first:
        (zygote,) = zygotes.shared()._zygotes.values()
        channel, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(zygote._control, [b"+"], [theirs.fileno(), 0, 1, 2])
        channel.close()
        with Kernel() as second:
            assert second.zygote == first.zygote
            assert {child.pid for child in psutil.Process(first.zygote).children()} == {first.pid, second.pid}


def test_closed_zygotes_fork_no_more() -> None:
    """What is launched after that is an error, and no process is left."""
    with Kernel() as kernel:
        zygote = kernel.zygote
    zygotes.shared().close()
    until(lambda: gone(zygote))
    with pytest.raises(RuntimeError, match="closed"):
        Kernel()


# Sources and environment

ASK = """
import os
reply = litellm.completion(
    model=os.environ["CHUTES_MODEL"], messages=[{"role": "user", "content": "Say OK"}], custom_llm_provider="openai",
    api_base=os.environ["CHUTES_API_BASE"], api_key=os.environ["CHUTES_API_KEY"])
"""


READS = """
import os
from pathlib import Path
flavour = os.environ.get("FLAVOUR")
text = open(Path(__file__).with_name("text.txt")).read()
version = 1
"""


def test_next_kernel_sees_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited module, a file and a variable that it reads: another zygote. What it does not read: the same."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "reads")
    folder = tmp_path / "modules"
    launch = module(folder, "reads", READS)
    (folder / "text.txt").write_text("one")
    seen: list[tuple[int, object]] = []

    def look(**environ: str) -> None:
        with Kernel(env=launch["env"] | environ) as kernel:
            assert kernel("'reads' in __import__('sys').modules")
            kernel.run("import reads")
            seen.append((kernel.zygote, kernel("[reads.version, reads.text, reads.flavour]")))
            assert kernel("{**__import__('os').environ}").items() >= environ.items()

    look()
    look(UNREAD="1")
    look(FLAVOUR="mint")
    (folder / "text.txt").write_text("three")
    look(FLAVOUR="mint")
    (folder / "reads.py").write_text(READS.replace("version = 1", "version = 10"))
    look(FLAVOUR="mint")
    assert [value for _, value in seen] == [
        [1, "one", None],
        [1, "one", None],
        [1, "one", "mint"],
        [1, "three", "mint"],
        [10, "three", "mint"],
    ]
    pids = [pid for pid, _ in seen]
    assert pids[0] == pids[1]
    assert len(set(pids)) == 4


@pytest.mark.slow
def test_retired_zygote_ends_with_its_last_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is out of date serves the kernels that it has, with their exit statuses."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "reads")
    launch = module(tmp_path / "modules", "reads", "import os; os.environ.get('FLAVOUR')")
    with Kernel(**launch) as old:
        before = old.zygote
        with Kernel(env=launch["env"] | {"FLAVOUR": "mint"}) as new:
            assert new.zygote != before
        assert not gone(before)
        old.client.execute("import os; os._exit(3)")
        assert until(old.poll) == 3
    until(lambda: gone(before))


@pytest.mark.parametrize("shadow", ["colorsys.py", "colorsys/__init__.py", "colorsys.pyc"])
def test_file_in_the_folder_goes_before_what_is_preloaded(shadow: str, warnings: list[str], tmp_path: Path) -> None:
    """A kernel there starts cold, without a warning, and others stay warm."""
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).write_text("")
    kernel = Kernel(cwd=tmp_path)
    assert _cold(kernel)
    kernel.close()
    with Kernel(cwd="/") as elsewhere:
        assert elsewhere(FORKED)
    assert warnings == []


def test_package_of_the_folder_itself_shadows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the project's own folder its package is the one that was preloaded."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "scillm_helpers.errors")
    with Kernel(cwd=ROOT) as kernel:
        assert kernel(FORKED)
        assert kernel("'scillm_helpers.errors' in __import__('sys').modules")


def test_folder_that_cannot_be_listed_shadows_nothing(tmp_path: Path) -> None:
    """Python cannot import from there either."""
    assert Preloaded({}, modules={"colorsys": Path("/colorsys.py")}).shadowed(str(tmp_path / "missing")) is None


def test_relative_path_means_the_kernels_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH=modules is another place in each folder, and so is what is preloaded from there."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "here")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        module(tmp_path / name / "modules", "here", f"name = {name!r}")
        with Kernel(cwd=tmp_path / name, env=os.environ | {"PYTHONPATH": "modules"}) as kernel:
            assert kernel("__import__('sys').modules['here'].name") == name


def test_env_file_counts_as_in_a_cold_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the `.env` above a notebook as it is imported (LiteLLM does) has the kernel's own; others see none."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "reads")
    launch = module(tmp_path / "modules", "reads", "import dotenv; dotenv.load_dotenv()")
    (tmp_path / "with" / "notebooks").mkdir(parents=True)
    value = "[__import__('reads').__name__, __import__('os').environ.get('ONLY_IN_THE_FILE')][1]"
    for text in ("1", "zwei"):
        (tmp_path / "with" / ".env").write_text(f"ONLY_IN_THE_FILE={text}\n")
        for provisioner in (COLD, WARM):
            with Kernel(provisioner, **launch | {"cwd": tmp_path / "with" / "notebooks"}) as kernel:
                assert kernel(FORKED) is (provisioner == WARM)
                assert kernel(value) == text
    with Kernel(**launch) as elsewhere:
        assert elsewhere(FORKED)
        assert elsewhere(value) is None


@pytest.mark.slow
def test_first_call_imports_next_to_nothing(endpoint: serve.Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default list has what LiteLLM imports late, and LiteLLM's own variables count."""
    monkeypatch.delenv("SCILLM_WARM_PRELOAD")
    packages = ("litellm", "openai", "httpcore", "anyio")
    ours = f"sorted(name for name in __import__('sys').modules if name.split('.')[0] in {packages})"
    with Kernel(env=os.environ | endpoint.environ) as kernel, Kernel() as other:
        zygote = kernel.zygote
        assert other.zygote == zygote
        before = kernel(ours)
        kernel.run("import litellm")
        assert kernel(ours) == before
        kernel.run(ASK)
        assert kernel("reply.choices[0].message.content")
        assert len(new := set(kernel(ours)) - set(before)) < 10, sorted(new)
        assert kernel("str(litellm.uuid.uuid4())") != other("str(__import__('litellm').uuid.uuid4())")
        assert other("__import__('litellm')._logging.log_level") == "DEBUG"
    with Kernel(env=os.environ | {"LITELLM_LOG": "ERROR"}) as kernel:
        assert kernel.zygote != zygote
        assert kernel("'litellm' in __import__('sys').modules")
        assert kernel("__import__('litellm')._logging.log_level") == "ERROR"


def test_owner_without_kernels_ends_at_once(tmp_path: Path) -> None:
    """A zygote that is still importing does not keep its owner, nor goes on without it."""
    source = (
        "import os, sys; from scillm_helpers.kernels import recipe, zygotes\n"
        "own = recipe.Recipe.of([sys.executable], ['litellm'], os.environ, '/')\n"
        "zygotes.shared().start(own, dict(os.environ))\n"
        "print(*[zygote._process.pid for zygote in zygotes.shared()._zygotes.values()])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert gone(int(done.stdout))
