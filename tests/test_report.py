"""The report opens in a real browser, explains itself, and lets nothing out of a notebook."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.large import nights
from scillm_helpers.smoke import page
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.past import Identity
from scillm_helpers.smoke.story import story
from tests.browser import broken_links, inaccessible, launched, opened
from tests.conftest import ROOT
from tests.harness import Smoke, refused, write

EVIL = (
    "<script>document.title = 'owned'; alert(1)</script></div></main></body><h1 id=out>out</h1>"
    "<img src=x onerror=alert(2)><img src='https://example.org/x.png'><iframe src='https://example.org'></iframe>"
    "<form action='https://example.org'><input></form><meta http-equiv=refresh content='0;url=https://example.org'>"
    "<style>body { display: none }</style><a href='javascript:alert(3)'>click</a><base href='https://example.org'>"
    "<svg onload=alert(4)></svg><p style='position: fixed; top: 0; background: url(https://example.org/y)'>over</p>"
    "<link rel=stylesheet href='https://example.org/z.css'><object data='https://example.org'></object>"
)
CONNECT = "from scillm_helpers import *\nllm = connect()"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """Return a run with a bit of everything, executed twice, so that there is a past."""
    smoke = Smoke(tmp_path_factory.mktemp("report"))
    evil = f"from IPython.display import HTML, Markdown, SVG, display\nevil = {EVIL!r}"
    show = "display(HTML(evil), Markdown(evil), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(5)</script></svg>'))"
    write(
        smoke.folder / "evil.ipynb",
        evil,
        show,
        "print(evil)",
        "raise ValueError(chr(27) + '[1m' + evil)",
        parameters="p = ''",
    )
    write(smoke.folder / "asserts.ipynb", "x = 1", "assert x == 2, 'x is not 2'", parameters="p = ''")
    write(smoke.folder / "dies.ipynb", "import os; os._exit(7)", parameters="p = ''")
    write(smoke.folder / "a & <b>.ipynb", "1", parameters="p = ''")
    for name in "123":
        write(
            smoke.folder / f"out{name}.ipynb",
            CONNECT,
            "llm.completion(messages=[], api_base='http://127.0.0.1:9')\nrecord('chat', ok=True)",
            parameters="p = ''",
        )
    (smoke.folder / "broken.ipynb").write_text("{")
    names = ["evil", "asserts", "dies", "a & <b>", "out1", "out2", "out3", "broken"]
    tutorials = [ROOT / "notebooks" / "02_streaming.ipynb", ROOT / "notebooks" / "04_multimodal.ipynb"]
    for _ in range(2):
        done = smoke.run(*(f"{name}.ipynb" for name in names), *tutorials, LITELLM_RETRY_AFTER="0.01")
        assert done.returncode == 1, done
        assert "3 x connection: EndpointError: http://127.0.0.1:9" in done.stdout
    return smoke


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser for these tests."""
    with launched() as started:
        yield started


def _pages(smoke: Smoke) -> list[Path]:
    return [smoke.out / "report.html", *sorted(smoke.out.glob("notebooks/*.html"))]


@pytest.mark.slow
def test_every_link_leads_somewhere_and_nothing_is_loaded(run: Smoke, browser: Browser) -> None:
    """Of the report and of each notebook's page: no request, no complaint, no dead link."""
    assert len(_pages(run)) == 10
    for path in _pages(run):
        with opened(browser, path) as (shown, seen):
            assert broken_links(shown, path) == [], path
            assert seen == [], path


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(run: Smoke, browser: Browser, scheme: str) -> None:
    """axe-core finds nothing, in either colour scheme, on a wide screen and on a narrow one."""
    for name, width, authored in (
        ("report", 1200, []),
        ("report", 400, []),
        ("notebooks/02_streaming", 1200, ["heading-order"]),
    ):
        size = {"width": width, "height": 800}
        with opened(browser, run.out / f"{name}.html", color_scheme=scheme, viewport=size, bypass_csp=True) as (
            shown,
            _,
        ):
            assert inaccessible(shown, but_for=authored) == [], name


@pytest.mark.slow
def test_it_is_read_without_script_and_printed(run: Smoke, browser: Browser) -> None:
    """All is in the page itself."""
    with opened(browser, run.out / "report.html", java_script_enabled=False) as (shown, _):
        text = shown.locator("body").inner_text()
        for expected in (
            "7 of 10 did not pass", "What failed", "connection: EndpointError: http://127.0.0.1:9", "(3 cases)",
            "assertion: AssertionError: x is not 2", "First seen on 20", "Cases", "a & <b>", "04_multimodal",
            "Time to first token", "Tokens per second", "The run, by worker", "What each model can do", "fails (connection)",
        ):  # fmt: skip
            assert expected in text or expected in shown.content(), expected
        assert text.count("connection: EndpointError") == 1 + 3  # one line for the outage, and each case's own
        assert shown.locator("svg[role=img]:not([aria-label])").count() == 0
        assert len(shown.pdf()) > 10_000


def test_failing_cell_and_clean_traceback(run: Smoke) -> None:
    """What failed is there to read; no colour codes in it, nor in JUnit."""
    report = (run.out / "report.html").read_text()
    assert "assert x == 2, &#39;x is not 2&#39;" in report
    assert "----&gt; 1 assert x == 2" in report
    for name in ("report.html", "junit.xml", "summary.md", "results.json"):
        assert not re.search(r"\x1b|\\u001b|\[0;\d|\[\d\dm", (run.out / name).read_text()), name


@pytest.mark.slow
def test_notebook_cannot_break_out(run: Smoke, browser: Browser) -> None:
    """HTML, Markdown, SVG, text and an exception full of script: nothing runs, loads, covers or leads away."""
    for path in (run.out / "notebooks" / "evil.html", run.out / "report.html"):
        with opened(browser, path, bypass_csp=True) as (shown, seen):  # it must hold without the policy, too
            assert seen == [], path
            assert shown.title() != "owned"
            assert shown.url == path.as_uri()
            acting = "script, iframe, form, input, object, link:not([href='data:,']), base, [onerror], [onload], a[href^=javascript], main style"
            assert shown.locator(acting).count() == 0
            assert shown.locator("meta[http-equiv=refresh]").count() == 0
            assert shown.locator("body").is_visible()
            assert "fixed" not in shown.evaluate(
                "[...document.querySelectorAll('main *')].map(e => getComputedStyle(e).position)"
            )
            assert shown.locator("footer, header").first.is_visible()
            assert "<script>document.title" in shown.locator("main").inner_text()  # as text


def test_report_command_writes_it_again(run: Smoke, tmp_path: Path) -> None:
    """A page that is missing comes back; the report tells what the history knows by now."""
    lost = run.out / "notebooks" / "asserts.html"
    before = lost.read_text()
    lost.unlink()
    (run.out / "report.html").unlink()
    done = run("report", run.out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out/report.html\n", "")
    assert lost.read_text() == before
    assert "First seen on" in (run.out / "report.html").read_text()


def test_report_of_no_run_is_refused(smoke: Smoke) -> None:
    """One line for each: no such run, a corrupt one; and what is corrupt stays as it is."""
    assert refused(smoke("report")) == "'latest' is not the folder of a run, nor one in runs/; see runs/."
    (smoke.folder / "old").mkdir()
    for content, why in (
        ("{", "JSONDecodeError"),
        ('{"schema_version": 0}', "ValueError: schema_version 0, not 1"),
        ("[]", "TypeError"),
    ):
        (smoke.folder / "old" / "results.json").write_text(content)
        assert f"old/results.json holds no results of a run ({why}" in refused(smoke("report", "old"))
        write(smoke.folder / "a.ipynb", "1")
        line = refused(smoke("run", "a.ipynb", "--out", "old"))
        assert "old/results.json holds no results of a run" in line
        assert line.endswith("choose another --out.")
        assert (smoke.folder / "old" / "results.json").read_text() == content
        assert [path.name for path in (smoke.folder / "old").iterdir()] == ["results.json"]


@pytest.mark.slow
def test_five_hundred_cases_with_two_hundred_nights_are_under_five_megabytes(tmp_path: Path) -> None:
    """The worst case: no two nights are alike. (`make bench` tells how long it takes.)"""
    runs = nights()
    with History.open(tmp_path / "history.sqlite") as history:
        history.add(*runs)
        past = history.past(Identity.of(runs[-1], result) for result in runs[-1].results)
    html = page.as_html(runs[-1], story(runs[-1], past), tmp_path)
    assert 1_000_000 < len(html.encode()) < 5_000_000
    assert html.count("<tr id=") == 500
    assert html.count('class="strip"') == 500
