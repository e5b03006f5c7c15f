"""Tokens and cost are counted, bounded, and told before a live run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scillm_helpers.endpoint import serve
from scillm_helpers.ledger import Ledger
from scillm_helpers.prices import Price, known_price
from scillm_helpers.smoke.budget import Budget
from scillm_helpers.smoke.forecast import forecast
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.results import Case, CaseResult, Run, Usage
from tests.conftest import ROOT
from tests.harness import Smoke, refused, write

CONNECT = "from scillm_helpers import *\nllm = connect()"
ASK = "llm.completion(messages=[{'role': 'user', 'content': 'Say OK'}], max_tokens=8)"


def _result(name: str, usage: Usage, cost: float | None = None, status: str = "passed", model: str = "m") -> CaseResult:
    return CaseResult(Case(name, Path(f"{name}.ipynb"), {}, model), status, usage=usage, cost_usd=cost)  # type: ignore[arg-type]


# What is counted


def test_calls_of_every_kind_are_counted(smoke: Smoke) -> None:
    """Whole replies, streams with and without a report, one left early, one that failed, of async and plain calls."""
    write(
        smoke.folder / "a.ipynb",
        CONNECT,
        ASK,
        f"await llm.a{ASK.removeprefix('llm.')}",
        "call = dict(messages=[{'role': 'user', 'content': 'Tell me a 10 word story.'}], max_tokens=50, stream=True)\n"
        "for chunk in llm.completion(**call, stream_options={'include_usage': True}): pass",
        "with TextStream(llm.completion(**call), max_chunks=3) as stream:\n    print([text for text in stream])",
        "try:\n    llm.completion(messages=[], max_tokens=8)\nexcept Exception as error:\n    print(type(error))",
        "from litellm import completion\ncompletion(**llm.kwargs, messages=[{'role': 'user', 'content': 'Say OK'}], max_tokens=8)",
    )
    assert smoke.run("a.ipynb").returncode == 0, smoke.case
    assert smoke.case["calls"] == 5
    assert smoke.case["tokens"] == {"prompt": 3 * 9 + 2 * 15, "completion": 3 + 12 + 3, "most_completion": 124}


async def _never(**_: Any) -> None: ...


def _counting(**usage: int) -> tuple[Ledger, Any]:
    library = SimpleNamespace(completion=lambda **_: {"usage": usage or None}, acompletion=_never)
    ledger = Ledger()
    ledger.counting = True
    ledger.watch(library)
    ledger.watch(library)  # once is enough
    return ledger, library


def test_call_without_a_limit_has_none() -> None:
    """The most that its reply can have is not known."""
    ledger, library = _counting(prompt_tokens=1, completion_tokens=2)
    library.completion(max_tokens=5)
    assert ledger.totals() == {"calls": 1, "prompt_tokens": 1, "completion_tokens": 2, "most_completion_tokens": 5}
    library.completion()
    assert ledger.totals() == {"calls": 2, "prompt_tokens": 2, "completion_tokens": 4, "most_completion_tokens": None}


@pytest.mark.parametrize(
    ("api_base", "calls"), [("http://127.0.0.1:1/v1", 1), ("http://127.0.0.1:2/v1", 0), ("https://llm.test/v1", 1)]
)
def test_practice_is_not_counted(monkeypatch: pytest.MonkeyPatch, api_base: str, calls: int) -> None:
    """Calls to another endpoint of this machine than the run's own cost nobody anything."""
    monkeypatch.setenv("CHUTES_API_BASE", "http://127.0.0.1:1/v1/")
    ledger, library = _counting(prompt_tokens=3, completion_tokens=4)
    library.completion(api_base=api_base, max_tokens=8)
    assert ledger.totals()["calls"] == calls


def test_nothing_is_counted_by_hand() -> None:
    """A session in JupyterLab keeps no stream alive: the library stays as it is."""
    library = SimpleNamespace(completion=print)
    Ledger().watch(library)
    assert library.completion is print


def test_recorded_tokens_count_where_calls_are_made_without_the_helpers(smoke: Smoke) -> None:
    """A notebook that calls something else reports its usage."""
    write(
        smoke.folder / "a.ipynb",
        "from scillm_helpers import record\nrecord('x', ok=True, prompt_tokens=7, completion_tokens=3)",
    )
    assert smoke.run("a.ipynb", "--price", "1", "2").returncode == 0
    assert (smoke.case["calls"], smoke.case["tokens"]["prompt"], smoke.case["tokens"]["completion"]) == (1, 7, 3)
    assert smoke.case["cost_usd"] == pytest.approx(13e-6)


# What it costs


def test_prices_are_litellms() -> None:
    """By the model's name, or by the provider in the address and the name; in dollars for a million tokens."""
    assert known_price("gpt-4o-mini", "https://gateway.example/v1") == Price(0.15, 0.6)
    on_groq = known_price("openai/gpt-oss-20b", "https://api.groq.com/openai/v1")
    assert on_groq is not None
    assert 0 < on_groq.prompt <= on_groq.completion < 1
    assert known_price("openai/gpt-oss-20b", "https://llm.chutes.ai/v1") is None
    assert known_price("embedded/omni-1", "http://127.0.0.1:1/v1") is None
    assert Price(1, 3).of(1_000_000, 2_000_000) == 7


def test_unknown_price_is_not_zero(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A run whose price nobody knows says so, and a bound on its cost is refused."""
    write(smoke.folder / "a.ipynb", CONNECT, ASK)
    assert smoke.run("a.ipynb", **endpoint.environ).returncode == 0
    assert smoke.case["cost_usd"] is None
    assert "cost unknown" in (smoke.out / "summary.md").read_text()
    before = len(endpoint.log.entries)
    line = refused(smoke("run", "a.ipynb", "--max-cost", "1", **endpoint.environ))
    assert line == "the price of embedded/omni-1 is not known; give --price IN OUT, or use --max-tokens."
    assert [entry.path for entry in endpoint.log.entries[before:]] == ["/v1/models"]


# What it may use


def test_used_up_budget_leaves_the_rest_not_run(smoke: Smoke) -> None:
    """Each with the reason, in the exit status, and to be resumed with a larger one."""
    for name in "abc":
        write(smoke.folder / f"{name}.ipynb", CONNECT, ASK)
    done = smoke.run("a.ipynb", "b.ipynb", "c.ipynb", "--jobs", "1", "--max-tokens", "15")
    assert done.returncode == 1
    assert [case["status"] for case in smoke.results["cases"]] == ["passed", "passed", "not_run"]
    reason = "the run has used 20 tokens; raise --max-tokens 15, and --resume it."
    assert smoke.results["cases"][2]["reason"] == {"kind": None, "message": reason, "cell": None}
    assert reason in done.stdout
    done = smoke("run", "--resume", smoke.out, "--max-tokens", "20")
    assert [case["status"] for case in smoke.results["cases"]] == ["passed", "passed", "not_run"]
    assert smoke("run", "--resume", smoke.out, "--max-tokens", "21").returncode == 0
    done = smoke.run("a.ipynb", "b.ipynb", "--jobs", "1", "--price", "1000000", "1000000", "--max-cost", "10")
    assert done.returncode == 1
    assert "the run has cost $10; raise --max-cost 10, and --resume it." in done.stdout


def test_what_was_tried_again_is_paid_for_too(smoke: Smoke) -> None:
    """The tokens of the first attempt stay in the sum, and so do those of a run that is resumed."""
    fails = f"import pathlib\nmark = pathlib.Path({str(smoke.folder / 'mark')!r})\nif not mark.exists():\n    mark.touch()\n    raise TimeoutError"
    write(smoke.folder / "a.ipynb", CONNECT, ASK, fails)
    assert smoke.run("a.ipynb", "--retries", "1").returncode == 0
    assert (smoke.case["attempt"], smoke.case["calls"], smoke.case["tokens"]["prompt"]) == (2, 2, 18)
    (smoke.folder / "mark").unlink()
    assert smoke.run("a.ipynb").returncode == 1
    assert smoke("run", "--resume", smoke.out).returncode == 0
    assert (smoke.case["calls"], smoke.case["tokens"]["prompt"]) == (2, 18)


def test_bad_budgets_are_refused(smoke: Smoke) -> None:
    """Each option says what it takes."""
    for arguments, message in (
        (["--max-tokens", "0"], "0 is not a number of tokens: 1 or more"),
        (["--max-tokens", "x"], "x is not a number of tokens: 1 or more"),
        (["--max-cost", "-1"], "-1 is not a number of US dollars: 0 or more"),
        (["--max-cost", "nan"], "nan is not a number of US dollars: 0 or more"),
        (["--price", "1"], "expected 2 arguments"),
        (["--price", "1", "x"], "x is not a number of US dollars: 0 or more"),
    ):
        done = smoke("run", *arguments)
        assert done.returncode == 2
        assert message in done.stderr, arguments


def test_budget_counts_what_is_known() -> None:
    """Up to the bound, and not a token more is started."""
    results = [_result("a", Usage(1, 5, 5), 0.5), _result("b", Usage(1, 3, 1), None, "failed")]
    assert Budget().used_up(results) is None
    assert Budget(max_tokens=15).used_up(results) is None
    assert "14 tokens" in str(Budget(max_tokens=14).used_up(results))
    assert Budget(max_cost=0.51).used_up(results) is None
    assert "cost $0.5" in str(Budget(max_cost=0.5).used_up(results))


# What is told before


def test_plan_of_a_live_run(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """First what is not known; then, after a keyless run, the calls and the most that they can cost."""
    notebook = ROOT / "notebooks" / "01_setup.ipynb"
    write(smoke.folder / "own.ipynb", CONNECT, "llm.completion(messages=[{'role': 'user', 'content': 'Say OK'}])")
    done = smoke.run(notebook, "own.ipynb", **endpoint.environ)
    assert done.stdout.splitlines()[1] == (
        "Plan: 2 cases. Not known before a first run, which may be one without a key: 01_setup.ipynb, own.ipynb."
    )
    done = smoke.run(notebook)
    assert "Plan:" not in done.stdout  # the embedded endpoint costs nothing
    done = smoke.run(notebook, "--price", "1000", "2000", "--model", "all", "--match", "*-1", **endpoint.environ)
    assert done.stdout.splitlines()[1] == (
        "Plan: 3 cases, 9 calls, 117 tokens of prompts, at most 72 tokens of replies, at most $0.26, each call once."
    )
    done = smoke.run("own.ipynb", "--price", "1", "1", **endpoint.environ)
    assert done.stdout.splitlines()[1] == (
        "Plan: 1 case, 1 call, 9 tokens of prompts, replies without a limit of tokens, cost without a limit."
    )


def test_plan_names_what_it_does_not_know(tmp_path: Path) -> None:
    """A price, a notebook; what failed before tells nothing."""
    cases = [Case(name, Path(f"{name}.ipynb"), {}, "m") for name in "abcde"]
    results = (_result("a", Usage(2, 10, 1, 30)), _result("b", Usage(9, 9, 9, 9), status="failed"))
    run = Run("1", "2026-11-23T03:00:00+00:00", 1.0, "embedded", "http://x", "litellm", "3.11", None, (), results)
    with History.open(tmp_path / "history.sqlite") as history:
        history.add(run)
        assert forecast(cases, history, {"m": None}) == (
            "Plan: 5 cases, 2 calls, 10 tokens of prompts, at most 30 tokens of replies, cost unknown (no price of m)."
            " Not known before a first run, which may be one without a key: b.ipynb, c.ipynb, d.ipynb and 1 more."
        )
        assert "at most $0.000050, each call once." in forecast(cases[:1], history, {"m": Price(2, 1)})
        given = [Case("a", Path("a.ipynb"), {"n": 1}, "m")]
        assert "Not known" in forecast(given, history, {})
