"""What commands say: text for people or lines of JSON for machines, without secrets in either.

    PROOFMINT_LOG_FORMAT  text | json       json: one object a line with time, level, dataset, stage, run
    PROOFMINT_LOG_VALUES  shown | withheld  withheld: no values of the data, as Airflow's tasks run

A person at a terminal is shown the value that is wrong, because it is their data. Logs of a server
are read by others, kept for long and sent elsewhere: there a message keeps the place (file, table,
row, column) and the counts, and loses the value. Everything that a command says goes through here.
"""

import datetime
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from tasks.errors import ParamsError, ProofmintError, WorkspaceError
from tasks.params import PARAMS_FILE
from tasks.schema import SCHEMA_FILE

FORMAT_VARIABLE = "PROOFMINT_LOG_FORMAT"
VALUES_VARIABLE = "PROOFMINT_LOG_VALUES"
RUN_VARIABLE = "PROOFMINT_RUN_ID"
"""Which run of Airflow a command belongs to; set by its operator."""

WITHHELD = "(withheld)"

_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|PASSPHRASE|_KEY)$", re.IGNORECASE)
_SHORTEST_SECRET = 6
"""Characters; a shorter one would cut pieces out of ordinary words."""

_USER_INFO = re.compile(r"(?<=://)[^/@\s'\"]*:[^@\s'\"]*(?=@)")

_VALUES = (
    # What PostgreSQL, MySQL and SQLite tell of rows that they refuse.
    (re.compile(r"\bKey \(([^)]*)\)=\(.*?\)(?= |$)", re.MULTILINE), rf"Key (\1)={WITHHELD}"),
    (re.compile(r"\b(Failing row contains|Duplicate entry) .*"), rf"\1 {WITHHELD}"),
    # What gates tell of rows.
    (re.compile(r" \(found [^\n]*?\)(?=[.;,\n]|$)"), f" (found values are {WITHHELD[1:-1]})"),
    (re.compile(r"\bfor example [^\n]*"), f"for example {WITHHELD}"),
)
_OF_MACHINES = ("ip_address", "mac_address", "profile_url")
"""Kinds of personal data that are addresses of servers more often than not in messages of ours."""

_QUOTED = re.compile(r"(?<!\w)(?:'((?:\\.|[^'\\\n])*)'|\"((?:\\.|[^\"\\\n])*)\")(?!\w)")


class _Formatter(logging.Formatter):
    """One line for each record, as text or as JSON."""

    def __init__(self, facts: dict[str, str], *, as_json: bool) -> None:
        super().__init__("%(message)s")
        self.facts = facts
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        text = cleaned(super().format(record), dataset=self.facts.get("dataset"))
        if not self.as_json:
            return text
        return _line(record.levelname, text, {"logger": record.name, **self.facts}, record.created)


def configure(command: str, dataset: str | None) -> None:
    """Send what is logged to stderr, in the form that the environment asks for.

    Raises:
        ParamsError: a variable holds something else than one of its choices.
    """
    _check(FORMAT_VARIABLE, ("text", "json"))
    _check(VALUES_VARIABLE, ("shown", "withheld"))
    as_json = os.environ.get(FORMAT_VARIABLE) == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(_facts(command, dataset), as_json=as_json))
    # Libraries say much at INFO that is of no use here; we say little.
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("tasks").setLevel(logging.INFO)
    if as_json:
        logging.captureWarnings(True)


def message_of(error: ProofmintError, dataset: str | None) -> str:
    """The message of an error, as it may be said here."""
    # Messages about settings and the workspace quote those, and no data.
    quotes_data = not isinstance(error, (ParamsError, WorkspaceError))
    text = cleaned(str(error), dataset=dataset, quotes_data=quotes_data)
    if text != str(error) and WITHHELD in text:
        text += " (run the command at a terminal to be shown what is withheld here)"
    return text


def last_words(prefix: str, message: str, command: str, dataset: str | None) -> str:
    """What a command that failed says at its end; `message` is clean already."""
    if os.environ.get(FORMAT_VARIABLE) == "json":
        return _line("ERROR", message, _facts(command, dataset))
    return f"{prefix}: {message}"


def cleaned(text: str, *, dataset: str | None = None, quotes_data: bool = True) -> str:
    """A message without secrets, and without values of the data where they are withheld.

    Args:
        text: of the message.
        dataset: whose names of tables and columns may stay in quotes.
        quotes_data: what stands in quotes may be a value of the data.
    """
    text = _USER_INFO.sub("***", text)
    for secret in _secrets():
        text = text.replace(secret, "***")
    if os.environ.get(VALUES_VARIABLE) in (None, "", "shown"):
        return text
    for pattern, replacement in _VALUES:
        text = pattern.sub(replacement, text)
    if quotes_data:
        names = _names(dataset)
        text = _QUOTED.sub(
            lambda found: found[0] if (found[1] or found[2] or "") in names else WITHHELD, text
        )
    return _without_people(text)


def _without_people(text: str) -> str:
    from tasks.privacy.pii.search import recognisers, spans  # it brings Arrow: not for everybody

    kinds = [one for one in recognisers() if one.kind not in _OF_MACHINES]
    for span in reversed(spans(text, kinds)):
        text = f"{text[: span.start]}<{span.kind.upper()}>{text[span.end :]}"
    return text


def _check(name: str, choices: tuple[str, ...]) -> None:
    given = os.environ.get(name) or choices[0]
    if given not in choices:
        raise ParamsError(f"expected {name} to be one of {', '.join(choices)}, found {given!r}")


def _facts(command: str, dataset: str | None) -> dict[str, str]:
    facts = {"dataset": dataset, "stage": command, "run": os.environ.get(RUN_VARIABLE)}
    return {name: value for name, value in facts.items() if value}


def _line(level: str, message: str, facts: dict[str, str], created: float | None = None) -> str:
    moment = (
        datetime.datetime.now(datetime.UTC)
        if created is None
        else datetime.datetime.fromtimestamp(created, datetime.UTC)
    )
    content = {"time": moment.isoformat(timespec="milliseconds"), "level": level.lower()}
    return json.dumps({**content, "message": message, **facts}, ensure_ascii=False)


def _secrets() -> list[str]:
    """Passwords and keys that the environment holds, the longest first."""
    found = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            found.add(value.strip())
        if "://" in value:
            try:
                password = urlsplit(value).password or ""
            except ValueError:
                continue
            found.update((password, unquote(password)))
    return sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)


@cache
def _names(dataset: str | None) -> frozenset[str]:
    """What may stand in quotes: names and settings of params.yaml, tables and columns of schemas."""
    found: set[str] = set()
    try:
        content: Any = yaml.safe_load(Path(PARAMS_FILE).read_text(encoding="utf-8"))
        entries = content["datasets"]
        found.update(_texts(entries.get(dataset, {}) if dataset else entries))
        found.update(entries)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        pass  # where there is no project, nothing is known
    for place in Path("data", dataset or "").glob(f"*/{SCHEMA_FILE}") if dataset else ():
        try:
            tables = json.loads(place.read_text(encoding="utf-8"))["tables"]
            found.update(table["name"] for table in tables)
            found.update(column["name"] for table in tables for column in table["columns"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return frozenset(found)


def _texts(content: Any) -> Iterator[str]:
    """The keys and texts of nested settings."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)
    elif isinstance(content, str):
        yield content
