"""The store of all runs' results, in one SQLite file.

Written through sqlite-utils, on a connection whose transactions are said here: each begins with
`BEGIN IMMEDIATE`, so that of two processes one waits for the other and none is turned away.
"""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

from sqlite_utils import Database
from sqlite_utils.db import Table

from ..errors import UsageError
from .past import Identity, Past, PastRun
from .results import CaseResult, Run, Usage
from .signatures import signature

SCHEMA_VERSION = 1

_APPLICATION_ID = 0x5C111A57  # says in the file's header whose it is
_PATIENCE = 30.0  # seconds to wait for another process
_REMEDY = "move it away, or name another with --history."

_Mode = Literal["ro", "rwc"]

_RUNS = {"number": int, "id": str, "started_at": str, "seconds": float, "endpoint": str, "api_base": str}
_RUNS |= {"backend": str, "python": str, "git_commit": str}
_CASES = {"number": int, "name": str, "model": str, "where": str, "parameters": str}
_RESULTS = {"run": int, "case": int, "status": str, "kind": str, "message": str, "signature": str, "seconds": float}
_RESULTS |= {"ttft_s": float, "tokens_per_s": float, "calls": int, "prompt_tokens": int, "completion_tokens": int}
_RESULTS |= {"most_completion_tokens": int, "cost_usd": float, "attempts": int, "digest": str}
_RUN_KEY = ("id", "started_at", "endpoint")
_IDENTITY = ("name", "model", "where", "parameters")


class History(AbstractContextManager["History"]):
    """Be a history of runs: add to it, and read what came of a case over the nights.

    Whatever SQLite says against the file is raised as UsageError, in one line that names it.
    """

    def __init__(self, path: Path, database: Database) -> None:
        self._path = path
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a history to add to, created where there is none; no lock stays.

        Raises UsageError where the file is no database or a damaged one, another application's,
        of another version, or cannot be written; the file stays as it is.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_created(path, error) from error
        if os.path.exists(path):
            cls.read(path).close()
        with _told(path):
            history = cls(path, _connected(path, "rwc"))
            with history._closed_if_refused():
                history._prepare()
        return history

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a history only to read it. Raises UsageError as `open` does, and where there is none."""
        if not os.path.exists(path):
            raise no_runs(path)
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and no history of runs; name a file with --history.")
        with _told(path):
            history = cls(path, _connected(path, "ro"))
            with history._closed_if_refused():
                try:
                    history._check()
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                        raise
                    # A process was killed while it added: what it had begun has to be undone.
                    history.close()
                    history._database = _connected(path, "rwc")
                    history._check()
        return history

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, *runs: Run) -> int:
        """Add runs, all or none, and return how many were not there; one that was, say before it was resumed, is replaced."""
        with _told(self._path), self._transaction():
            return sum(self._add(run) for run in runs)

    def identities(self) -> list[Identity]:
        """Return every case that has a result which counts, in order."""
        with _told(self._path):
            counted = "number IN (SELECT \"case\" FROM results WHERE status != 'not_run')"
            rows = _table(self._database, "cases").rows_where(counted)
            return sorted(Identity(*(row[name] for name in _IDENTITY)) for row in rows)

    def past(self, cases: Iterable[Identity] | None = None) -> dict[Identity, list[Past]]:
        """Return what came of these cases, or of all, in order of time; what was `not_run` is left out.

        A case that has no results has an empty list.
        """
        with _told(self._path):
            numbers = self._numbers()
            wanted = list(numbers if cases is None else dict.fromkeys(cases))
            known = {numbers[identity]: list[Past]() for identity in wanted if identity in numbers}
            runs = self._runs()
            for case, run, *rest in self._results(known):
                known[case].append(Past._make((runs[run], *rest)))
        for results in known.values():
            results.sort(key=_in_order)  # cheap: most come in the order of time, since they were added so
        return {identity: known[numbers[identity]] if identity in numbers else [] for identity in wanted}

    def past_of(self, run: Run) -> dict[Identity, list[Past]]:
        """Return what came of the cases of a run, as `past` does."""
        return self.past(Identity.of(run, result) for result in run.results)

    def usages(self) -> dict[tuple[str, str], Usage]:
        """Return what each notebook has used when it last passed, whatever the model, by name and parameters."""
        question = (
            "SELECT name, parameters, calls, prompt_tokens, completion_tokens, most_completion_tokens"
            ' FROM results JOIN cases ON cases.number = "case" JOIN runs ON runs.number = run'
            " WHERE status = 'passed' ORDER BY started_at"
        )
        with _told(self._path):
            return {
                (name, parameters): Usage(*counts) for name, parameters, *counts in self._database.execute(question)
            }

    def _check(self) -> None:
        """Raise where the file is not a whole history of this version, nor empty."""
        if self._is_empty():
            return
        application, version = self._ask("PRAGMA application_id"), self._ask("PRAGMA user_version")
        if application != _APPLICATION_ID:
            raise UsageError(f"{self._path} is no history of runs, but another application's database; {_REMEDY}")
        if version != SCHEMA_VERSION:
            raise UsageError(f"{self._path} is a history of version {version}, not {SCHEMA_VERSION}; {_REMEDY}")
        if (found := self._ask("PRAGMA quick_check(1)")) != "ok":
            raise sqlite3.DatabaseError(str(found).splitlines()[-1])

    def _prepare(self) -> None:
        """Create the tables where there are none; else try to write, and undo it."""
        with self._transaction():
            if self._is_empty():
                self._create()
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._database.rollback()

    def _is_empty(self) -> bool:
        """Tell whether it has nothing yet: another process may be about to create it."""
        asked = "SELECT count(*) FROM sqlite_master", "PRAGMA application_id", "PRAGMA user_version"
        return not any(map(self._ask, asked))

    def _ask(self, question: str) -> Any:
        return self._database.execute(question).fetchone()[0]

    def _create(self) -> None:
        runs, cases, results = (_table(self._database, name) for name in ("runs", "cases", "results"))
        runs.create(_RUNS, pk="number")
        runs.create_index(_RUN_KEY, unique=True)
        cases.create(_CASES, pk="number")
        cases.create_index(_IDENTITY, unique=True)
        results.create(_RESULTS, foreign_keys=[("run", "runs", "number"), ("case", "cases", "number")])
        results.create_index(["case"])
        results.create_index(["run"])
        self._database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _add(self, run: Run) -> bool:
        """Add a run in place of what there is of it; tell whether there was nothing."""
        key = {name: getattr(run, name) for name in _RUN_KEY}
        runs, results = _table(self._database, "runs"), _table(self._database, "results")
        where = " AND ".join(f"{name} = ?" for name in key)
        earlier = [row["number"] for row in runs.rows_where(where, list(key.values()))]
        for number in earlier:
            results.delete_where("run = ?", [number])
            runs.delete(number)
        added = runs.insert({name: getattr(run, name) for name in _RUNS if name != "number"}, pk="number").last_pk
        identities = [Identity.of(run, result) for result in run.results]
        cases = _table(self._database, "cases")
        cases.insert_all([{name: getattr(one, name) for name in _IDENTITY} for one in identities], ignore=True)
        numbers = self._numbers()
        results.insert_all(
            {"run": added, "case": numbers[identity]} | _stored(result)
            for identity, result in zip(identities, run.results, strict=True)
        )
        return not earlier

    def _numbers(self) -> dict[Identity, int]:
        rows = self._database.execute('SELECT name, model, "where", parameters, number FROM cases')
        return {Identity(*identity): number for *identity, number in rows}

    def _runs(self) -> dict[int, PastRun]:
        columns = "number, id, started_at, backend, python, git_commit"
        rows = self._database.execute(f"SELECT {columns} FROM runs")  # noqa: S608 - fixed words
        return {number: PastRun(*rest) for number, *rest in rows}

    def _results(self, cases: Iterable[int]) -> Iterator[Sequence[Any]]:
        """Return the rows of these cases: the case, the run, and a `Past`'s other fields."""
        columns = '"case", run, status, kind, message, signature, seconds, ttft_s, tokens_per_s, attempts, digest'
        which = "status != 'not_run' AND \"case\" IN (SELECT value FROM json_each(?))"
        return self._database.execute(f"SELECT {columns} FROM results WHERE {which}", [json.dumps(list(cases))])  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise

    @contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise


def check(path: Path) -> None:
    """Raise UsageError where a run could not be added to the history; one that is not there is not created."""
    if os.path.exists(path):
        History.open(path).close()
        return
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    try:
        with suppress(FileNotFoundError):
            os.lstat(path)  # raises for a name that no file can have
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_created(path, error) from error


def no_runs(path: Path) -> UsageError:
    """Return what there is to say of a history that is empty, or not there."""
    return UsageError(f"{path} has no runs yet; run scillm-smoke run, or add some with --import.")


def _not_created(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be created ({error.strerror}); name another with --history.")


def _connected(path: Path, mode: _Mode) -> Database:
    """Connect; `ro` first, since even a look at another application's database may write to it."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
    return Database(connection, execute_plugins=False)


def _table(database: Database, name: str) -> Table:
    return database.table(name)


def _in_order(past: Past) -> tuple[str, str]:
    return past.run.started_at, past.run.id


def _stored(result: CaseResult) -> dict[str, Any]:
    reason, usage = result.reason, result.usage
    return {
        "status": result.status,
        "kind": reason and reason.kind,
        "message": reason and reason.message,
        "signature": signature(result) if reason else None,
        "seconds": result.seconds,
        "ttft_s": result.ttft_s,
        "tokens_per_s": result.tokens_per_s,
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "most_completion_tokens": usage.most_completion_tokens,
        "cost_usd": result.cost_usd,
        "attempts": result.attempt,
        "digest": result.digest,
    }


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what SQLite says as UsageError: of a file that is none, or of one that cannot be used now."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UsageError(f"{path} cannot be used ({error}); mend that, or name another with --history.") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} is no history of runs ({error}); {_REMEDY}") from error
