"""What becomes of personal data: dropped, masked, pseudonymised, invented anew, made coarser."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, places_of, replaced, retyped
from tasks.errors import ParamsError
from tasks.params import Record
from tasks.privacy.pii.actions import (
    STILL_PERSONAL,
    Action,
    Treatment,
    fits,
    proposed,
    type_after,
)
from tasks.privacy.pii.pseudonyms import check_locale, pseudonym_key
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_type, type_name

EVERY = "*"
"""Stands for every column that was found personal and has no decision of its own."""

_OF_KEYS = ("pseudonymise", "drop", "keep")
"""What keeps the values of a key apart, or takes the key away."""

_log = logging.getLogger(__name__)


class PersonalAction(Record):
    """An action with what it needs to know."""

    action: Action = Field(description="see `personal`")
    locale: str = Field(
        default="en_US", description="language and country of what `replace` invents: de_DE, ja_JP"
    )


class Personal(Step):
    """Runs last, on values as the other steps leave them, so that equal people get equal tokens.

    The columns of a key and those that point to it are one: what is decided for one is done to all,
    so that the tables still join.
    """

    order = 200
    Settings = Annotated[
        dict[str, Action | PersonalAction],
        Field(
            description="by column: keep, drop, mask, pseudonymise, replace, generalise or redact;"
            " `*`: every other one found personal, with what fits where this action does not"
        ),
    ]
    default: ClassVar[Any] = {}
    groups = frozenset({EVERY})

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        given = {
            name: one if isinstance(one, PersonalAction) else PersonalAction(action=one)
            for name, one in settings.items()
        }
        decided = _Decisions(self.schema, given)
        self._actions = {
            c.name: decision.action
            for c in self.table.columns
            if (decision := decided.of(self.table.name, c.name))
        }
        self._undecided = [
            c for c in self.table.columns if c.personal and c.name not in self._actions
        ]
        self._check()
        self._treatments = self._treated(decided, subject.state)
        if self._undecided:
            _log.warning("%s", self._warning())

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._undecided) or any(a != "keep" for a in self._actions.values())

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        made: dict[str, pa.Array] = {}
        counts: dict[str, dict[str, int]] = {}
        for name, treatment in self._treatments.items():
            values = batch[name]
            made[name] = treatment(values)
            counts.setdefault(_PAST[treatment.action], {})[name] = _n_changed(values, made[name])
        after = replaced(batch, made)
        names = [n for n in after.schema.names if self._actions.get(n) != "drop"]
        changed = {what: {c: n for c, n in of.items() if n} for what, of in counts.items()}
        return Changed(after.select(names), {what: of for what, of in changed.items() if of})

    def after(self) -> TableSchema:
        """See `Step.after`."""
        columns = []
        for column in self.table.columns:
            action = self._actions.get(column.name)
            if action in (None, "keep"):
                continue
            before = arrow_type(column)
            after = type_after(action, before)
            meaning = column.meaning
            if after != before or (action == "pseudonymise" and meaning == "numeric"):
                meaning = "identifier"
            # In texts, what was not found is still there.
            is_left = action in STILL_PERSONAL or column.personal_kind == "free_text"
            facts = {
                "type": type_name(after),
                "meaning": meaning,
                "personal": column.personal and is_left,
            }
            columns.append(column.model_copy(update=facts))
        table = retyped(self.table, columns)
        kept = tuple(c for c in table.columns if self._actions.get(c.name) != "drop")
        return table.model_copy(update={"columns": kept})

    def learned(self) -> dict[str, Any]:
        """What was done to which column, and which personal ones nobody decided about."""
        said = {"actions": self._actions} if self._actions else {}
        names = {c.name: c.personal_kind or "personal" for c in self._undecided}
        return said | ({"undecided": names} if names else {})

    def _check(self) -> None:
        for name, action in self._actions.items():
            column = self.table.column(name)
            if not fits(action, column):
                kind = f" ({column.personal_kind})" if column.personal_kind else ""
                raise ParamsError(
                    f"clean.personal: column {name!r} of {self.table.name!r} is of type"
                    f" {column.type}{kind}, which `{action}` cannot work on; `{proposed(column)}` can"
                    + (
                        "; or say its kind under `source.personal`"
                        if column.personal_kind is None
                        else ""
                    )
                )

    def _treated(self, decided: "_Decisions", state: Path | None) -> dict[str, Treatment]:
        """What is done to the values; the key is looked for only where it is needed."""
        names = [n for n, action in self._actions.items() if action not in ("keep", "drop")]
        needs_key = any(self._actions[n] in ("pseudonymise", "replace") for n in names)
        key = pseudonym_key(state) if needs_key else b""
        treatments = {}
        for name in names:
            decision = decided.of(self.table.name, name)
            locale = decision.locale if decision else "en_US"
            if self._actions[name] == "replace":
                check_locale(locale)
            column = self.table.column(name)
            treatments[name] = Treatment(
                self._actions[name], column.personal_kind, key, locale, column.personal
            )
        return treatments

    def _warning(self) -> str:
        found = ", ".join(f"{c.name} ({c.personal_kind or 'personal'})" for c in self._undecided)
        main = self.table is self.schema.main
        advice = ", ".join(
            f"{c.name if main else f'{self.table.name}.{c.name}'}: {proposed(c)}"
            for c in self._undecided
        )
        return (
            f"{self.table.name}: {len(self._undecided)} columns hold personal data, and nobody decided"
            f" what becomes of them: {found}; models learn from them as they are. Write `personal:"
            f" {{{advice}}}` under `clean:`, `keep` for what may stay, or `false` for it under"
            " `source.personal` where it is none"
        )


_PAST = {
    "mask": "masked",
    "pseudonymise": "pseudonymised",
    "replace": "replaced",
    "generalise": "generalised",
    "redact": "redacted",
}


def _n_changed(before: pa.Array, after: pa.Array) -> int:
    if before.type != after.type:
        return int(len(before) - before.null_count)
    n_changed: int = pc.sum(pc.not_equal(before, after), min_count=0).as_py()
    return n_changed


class _Decisions:
    """What is to be done to each column of a dataset: keys and what points to them alike."""

    def __init__(self, schema: DatasetSchema, given: dict[str, PersonalAction]) -> None:
        self._schema = schema
        self._every = given.get(EVERY)
        places = places_of(schema)
        self._own = {places[name]: one for name, one in given.items() if name != EVERY}

    def of(self, table: str, name: str) -> PersonalAction | None:
        """The decision about one column; None: there is none, or it is not personal.

        Raises:
            ParamsError: columns of one key are treated differently, or in a way that would not join.
        """
        family = self._family((table, name))
        said = {place: self._own[place] for place in sorted(family) if place in self._own}
        if len({one.action for one in said.values()}) > 1:
            choices = ", ".join(f"{t}.{c}: {one.action}" for (t, c), one in said.items())
            raise ParamsError(
                f"clean.personal treats columns of one key differently ({choices}); the tables would"
                " no longer join: give all the same, or say it of one"
            )
        for (t, c), one in said.items():
            if self._is_key((t, c)) and one.action not in _OF_KEYS:
                raise ParamsError(
                    f"clean.personal: {t}.{c} is part of a key, of which `{one.action}` could make two"
                    f" values one; choose one of: {', '.join(_OF_KEYS)}"
                )
        if said:
            return next(iter(said.values()))
        if self._every is None or not any(self._column(place).personal for place in family):
            return None
        if self._is_key((table, name)) and self._every.action not in _OF_KEYS:
            return PersonalAction(action="pseudonymise")
        column = self._column((table, name))
        if not fits(self._every.action, column):
            return PersonalAction(action=proposed(column), locale=self._every.locale)
        return self._every

    def _family(self, place: tuple[str, str]) -> set[tuple[str, str]]:
        """The column, with all that it points to, that points to it, and so on."""
        found, waiting = {place}, [place]
        links = list(self._links())
        while waiting:
            one = waiting.pop()
            for a, b in links:
                for near, far in ((a, b), (b, a)):
                    if near == one and far not in found:
                        found.add(far)
                        waiting.append(far)
        return found

    def _links(self) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        for table in self._schema.tables:
            for key in table.foreign_keys:
                for own, other in zip(key.columns, key.referenced_columns, strict=True):
                    yield (table.name, own), (key.references, other)

    def _is_key(self, place: tuple[str, str]) -> bool:
        table, name = place
        return name in self._schema.table(table).primary_key or len(self._family(place)) > 1

    def _column(self, place: tuple[str, str]) -> Column:
        return self._schema.table(place[0]).column(place[1])
