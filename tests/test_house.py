"""The rules of the house hold: who may import whom, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from scillm_helpers.settings import Settings
from tests.conftest import ROOT

PACKAGE = ROOT / "scillm_helpers"
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path, late: bool = True) -> set[str]:
    """Return what of the project a module imports; without `late`, only at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if late else iter(tree.body)
    package = _name(path) if path.name == "__init__.py" else _name(path).rpartition(".")[0]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            module = f"{base}.{node.module}" if node.module else base
            names = {f"{module}.{alias.name}" for alias in node.names}
            known = {_name(path) for path in MODULES}
            found |= {name if name in known else module for name in names}
    return found


def _wing(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (PACKAGE / parts[-1]).is_dir() else ""


def _modules(*names: str) -> set[str]:
    return {f"{PACKAGE.name}.{name}" for name in names}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_follow_the_rules(path: Path) -> None:
    """Flat modules import no wing (but client, late, the server); nothing imports the harness, and its command line alone the doctor."""
    wing = _wing(_name(path))
    late = path.name == "cli.py"  # each command brings its own
    allowed = {
        "": {"scillm_helpers.endpoint.serve"} if path.name == "client.py" else set(),
        "endpoint": _modules("atomic", "bounded", "errors"),
        "kernels": _modules("errors"),
        # It looks through what a notebook imports; what takes secrets out of its findings is handed to it.
        "doctor": _modules(
            "bounded",
            "client",
            "environment",
            "errors",
            "images",
            "json_mode",
            "kinds",
            "listing",
            "settings",
            "endpoint.serve",
        ),
        "playground": _modules("client", "errors", "figures", "images", "json_mode", "kinds", "prices", "streaming"),
        "smoke": _modules("atomic", "settings", "environment", "errors", "records", "kinds", "listing", "prices")
        | _modules("kernels.zygotes", "kernels.recipe", "endpoint.serve", "endpoint.log")
        | (_modules("doctor.command") if late else set()),
    }[wing]
    for imported in _imports(path):
        own = _wing(imported) == wing
        assert own or imported in allowed, f"{_name(path)} imports {imported}"


def test_no_import_cycles() -> None:
    """Following the imports never leads back."""
    graph = {_name(path): _imports(path, late=False) for path in MODULES}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        for imported in graph.get(name, ()):
            visit(imported, (*trail, name))

    for name in graph:
        visit(name, ())


def test_importing_the_package_imports_nothing_heavy() -> None:
    """LiteLLM is seconds, pydantic and httpx tenths of one: they come with their first use."""
    script = "import sys, scillm_helpers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"litellm", "openai", "pydantic", "httpx", "uvicorn", "PIL", "numpy"} & set(loaded)
    script = "import sys; from scillm_helpers import *; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"litellm", "openai", "uvicorn", "PIL", "numpy"} & set(loaded)


def test_every_variable_is_documented_alike() -> None:
    """The settings, .env.example, the README and the first notebook name the same variables."""
    variables = {str(field.validation_alias) for field in Settings.model_fields.values()}
    for name in (".env.example", "README.md", "notebooks/01_setup.ipynb"):
        text = (ROOT / name).read_text()
        assert not {variable for variable in variables if variable not in text}, name


def test_env_example_is_what_happens_without_it() -> None:
    """Its values are the defaults: copying it changes nothing."""
    lines = [line.lstrip("# ") for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]
    given = dict(line.split("=", 1) for line in lines if line.split("=")[0].isupper())
    given = {name: value for name, value in given.items() if not name.startswith(("CHUTES_", "SCILLM_DEMO"))}
    assert Settings.from_env(given) == Settings.from_env({})


def test_direct_dependencies_are_pinned_exactly() -> None:
    """A name, `==`, a version."""
    files = {*ROOT.glob("requirements*.txt"), *(ROOT / "requirements").glob("*.txt")}
    direct = sorted(path for path in files if not path.name.startswith("lock"))
    assert ROOT / "requirements.txt" in direct
    for path in direct:
        for line in path.read_text().splitlines():
            assert line.startswith(("#", "-r ")) or line.count("==") == 1, line


def test_second_make_installs_nothing() -> None:
    """With the stamps there, `make smoke` and `make test` only run."""
    if not (ROOT / ".venv" / ".installed-dev").exists():
        pytest.fail("run the tests with `make test`")
    for target in ("smoke", "test"):
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "pip install" not in planned
