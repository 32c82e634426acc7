"""Each column of the report: its picture, and what opens below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.publishing.charts.columns import SERIES, categories, histogram, shares_of
from tasks.publishing.charts.svg import percent
from tasks.publishing.page import Page
from tasks.publishing.wording import number

_PARTNERS = 3


@dataclass(frozen=True)
class ColumnView:
    """One column as the report shows it."""

    name: str
    kind: str
    """Its meaning and its type."""
    note: str
    """Its error, or nothing."""
    picture: Markup
    sets: Sequence[str]
    """What was counted: real, unseen, synthetic, or some of them."""
    shares: Sequence[tuple[str, Sequence[str]]]
    """Rows of the table below: a category or what is missing, and its share in each set."""
    remarks: Sequence[str]


def columns(page: Page) -> list[ColumnView]:
    """Every column that may be shown, those with the largest error first."""
    known = {column.name: column for table in page.schema.tables for column in table.columns}
    shown = [c for c in page.plots.get("columns", ()) if c["name"] in page.public_columns]
    partners = _partners(page)
    return [
        ColumnView(
            name=column["name"],
            kind=f"{known[column['name']].meaning}, {known[column['name']].type}",
            note="" if column.get("error") is None else f"error {number(column['error'])} %",
            picture=categories(column) if "categories" in column else histogram(column),
            sets=[_SETS[name] for name in SERIES if column.get(name)],
            shares=_shares(column),
            remarks=_remarks(column, partners.get(column["name"], [])),
        )
        for column in sorted(shown, key=lambda c: -(c.get("error") or 0))
    ]


_SETS = {"real": "real", "holdout": "real, unseen", "synthetic": "synthetic"}


def hidden_columns(page: Page) -> list[str]:
    """What is not drawn and why: columns by name, then how many have too small an error."""
    known = [column for table in page.schema.tables for column in table.columns]
    hidden = [
        f"{column.name} ({'personal' if column.personal else column.meaning})"
        for column in known
        if column.name not in page.public_columns
    ]
    drawn = {c["name"] for c in page.plots.get("columns", ())}
    n_rest = len(page.public_columns - drawn - {c.name for c in known if c.meaning == "image"})
    if drawn and n_rest:
        hidden.append(f"{n_rest} more, whose errors are smaller or were not measured")
    return hidden


def _shares(column: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    sets = [name for name in SERIES if column.get(name)]
    lines = []
    if "categories" in column:
        of_sets = [shares_of(column[name]) for name in sets]
        lines = [
            (str(label), [percent(shares[i]) for shares in of_sets])
            for i, label in enumerate(column["categories"])
        ]
    missing = column.get("missing") or {}
    if missing:
        lines.append(("missing", [percent(float(missing.get(name) or 0)) for name in sets]))
    return lines


def _remarks(column: Mapping[str, Any], partners: Sequence[tuple[str, float]]) -> list[str]:
    remarks = []
    if "edges" in column:
        labels = column.get("edge_labels") or [number(float(e)) for e in column["edges"]]
        remarks.append(
            f"Drawn from {labels[0]} to {labels[-1]} in {len(labels) - 1} bins; the outermost also"
            " hold what lies beyond."
        )
    else:
        named = [c for c in column["categories"] if not str(c).startswith("(")]
        remarks.append(f"{len(named)} categories that are frequent enough to be named.")
    if partners:
        worst = ", ".join(f"{name} ({number(error)} %)" for name, error in partners)
        remarks.append(f"Its pairs with the largest errors: {worst}.")
    return remarks


def _partners(page: Page) -> dict[str, list[tuple[str, float]]]:
    """Of each column the others with which its association is kept worst."""
    pairs = page.plots.get("pairs")
    if not pairs:
        return {}
    names = pairs["columns"]
    found = {}
    for name, errors in zip(names, pairs["error"], strict=True):
        others = [
            (other, abs(error))
            for other, error in zip(names, errors, strict=True)
            if error is not None and other != name
        ]
        found[name] = sorted(others, key=lambda pair: -pair[1])[:_PARTNERS]
    return found
