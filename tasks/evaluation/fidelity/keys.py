"""Keys that the schema declares: unique, made anew, and pointing to rows that exist."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.rows import Part
from tasks.params import Threshold
from tasks.schema import Column, DatasetSchema, ForeignKey, TableSchema
from tasks.storage import read_table

COUNTED = 0.5
"""Share of whole numbers in use from which a column counts rows, and its values tell nothing."""


@metric(
    label="Keys that are not unique (share)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic rows whose primary key is missing or also that of another row."
    ),
    source="uniqueness of primary keys, as SDMetrics 0.32 KeyUniqueness; 1 - score",
    threshold=Threshold(at_most=0.0),
    decisive=False,
)
def key_duplicates(comparison: Comparison) -> Outcome:
    """All rows of the main table; of a key of several columns, the combination counts.

    Differs: all rows that share a key count, not all but the first of them.
    """
    key = comparison.schema.main.primary_key
    if not key:
        raise NotApplicable("the schema declares no primary key")
    made, real = (_columns(comparison, part, key) for part in _judged())
    value, reference = repeated_share(made), repeated_share(real)
    return Outcome(
        value,
        reference,
        intervals.of_share(value, len(made)),
        intervals.of_share(reference, len(real)),
    )


@metric(
    label="Real identifiers in use (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic identifiers that a training row has, beyond what numbers in that"
        " range hit by chance, in the column with most of them: each one may lead to a person."
    ),
    source="share of known values, as SDMetrics 0.32 NewRowSynthesis asks of rows; as defined here",
    threshold=Threshold(at_most_reference_plus=0.01),
    decisive=False,
)
def identifiers_reused(comparison: Comparison) -> Outcome:
    """Columns with the meaning `identifier`, all rows.

    Numbers that count rows (1, 2, 3 ...) are left out: every such column holds the same ones. The
    reference is high where identifiers repeat, as those of customers among purchases.
    """
    columns = comparison.schema.main.columns_of("identifier")
    if not columns:
        raise NotApplicable("the schema declares no identifier")
    found = [one for column in columns if (one := _reuse(comparison, column)) is not None]
    if not found:
        raise NotApplicable("no identifier has values that tell rows apart: they only count them")
    value, reference = max(found, key=lambda one: one[0][0] - one[1][0])
    return Outcome(value[0], reference[0], value[1], reference[1])


@metric(
    label="Rows that refer to nothing (share)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the rows whose foreign key names a row that is not there, in the table and key"
        " with most of them; the reference is that of all real rows together."
    ),
    source="referential integrity, as SDMetrics 0.32 ReferentialIntegrity; 1 - score",
)
def orphan_rows(comparison: Comparison) -> Outcome:
    """A key with a missing part refers to nothing by intention and is left out.

    The reference takes training and holdout rows together, because a split parts rows from those
    that they refer to.
    """
    if not any(table.foreign_keys for table in comparison.schema.tables):
        raise NotApplicable("the schema declares no foreign key")
    found: list[tuple[tuple[float, int], tuple[float, int]]] = []
    for table, key in present_links(comparison):
        made = orphan_share(*linked(comparison, ["synthetic"], table, key))
        real = orphan_share(*linked(comparison, ["train", "holdout"], table, key))
        if made is not None and real is not None:
            found.append((made, real))
    if not found:
        raise NotApplicable("no foreign key has values whose table is at hand")
    worst = max(found, key=lambda one: one[0][0] - one[1][0])
    (value, n), (reference, n_real) = worst
    return Outcome(
        value, reference, intervals.of_share(value, n), intervals.of_share(reference, n_real)
    )


def repeated_share(keys: pa.Table) -> float:
    """The share of the rows whose values are missing in part, or also those of another row."""
    counted = keys.drop_null().group_by(keys.column_names, use_threads=False)
    n_rows = counted.aggregate([([], "count_all")]).column("count_all")
    unique = pc.sum(pc.equal(n_rows, 1)).as_py() or 0
    return 1 - int(unique) / len(keys)


def orphan_share(children: pa.Table, parents: pa.Table) -> tuple[float, int] | None:
    """The share of the children without a parent, and how many were looked at; None for none.

    Args:
        children: the columns of a foreign key.
        parents: the columns that it refers to, in this order.
    """
    known = children.drop_null()
    if len(known) == 0:
        return None
    lost = known.join(
        parents.drop_null(),
        keys=known.column_names,
        right_keys=parents.column_names,
        join_type="left anti",
        use_threads=False,
    )
    return len(lost) / len(known), len(known)


def _judged() -> tuple[Part, Part]:
    return "synthetic", "holdout"


def _columns(comparison: Comparison, part: Part, names: tuple[str, ...]) -> pa.Table:
    return pa.table([comparison.every[part].column(name) for name in names], names=list(names))


def _reuse(
    comparison: Comparison, column: Column
) -> tuple[tuple[float, Interval], tuple[float, Interval]] | None:
    """The share of real identifiers among synthetic ones and the holdout's; None if they count."""
    trained = comparison.every["train"].column(column.name)
    found = []
    for part in _judged():
        values, known = alike(comparison.every[part].column(column.name), trained)
        values, known = values.drop_null(), pc.unique(known.drop_null())
        if len(values) == 0:
            return None
        chance = chance_of_a_hit(values, known)
        if chance > COUNTED:
            return None
        share = (pc.sum(pc.is_in(values, value_set=known)).as_py() or 0) / len(values)
        value, low, high = (
            max(0.0, (one - chance) / (1 - chance))
            for one in (share, *intervals.of_share(share, len(values)))
        )
        found.append((value, (low, high)))
    return found[0], found[1]


def chance_of_a_hit(values: pa.ChunkedArray, known: pa.Array) -> float:
    """How often a whole number from the range of `values` is a known one; 0 of other types."""
    if not pa.types.is_integer(values.type):
        return 0.0
    ends = pc.min_max(values)
    inside = pc.and_(pc.greater_equal(known, ends["min"]), pc.less_equal(known, ends["max"]))
    n_numbers = ends["max"].as_py() - ends["min"].as_py() + 1
    return int(pc.sum(inside).as_py() or 0) / int(n_numbers)


def present_links(comparison: Comparison) -> Iterator[tuple[TableSchema, ForeignKey]]:
    """The foreign keys of which all three datasets hold both tables."""
    stored = [
        {table.name for table in DatasetSchema.load(rows.folder).tables}
        for rows in comparison.every.values()
    ]
    held = set.intersection(*stored)
    for table in comparison.schema.tables:
        for key in table.foreign_keys:
            if {table.name, key.references} <= held:
                yield table, key


def linked(
    comparison: Comparison, parts: list[Part], table: TableSchema, key: ForeignKey
) -> tuple[pa.Table, pa.Table]:
    """The foreign key of all rows of these parts, and what it may refer to."""
    children, parents = (
        pa.concat_tables(
            [read_table(comparison.every[part].folder, name, list(columns)) for part in parts],
            promote_options="permissive",
        )
        for name, columns in ((table.name, key.columns), (key.references, key.referenced_columns))
    )
    pairs = [alike(*pair) for pair in zip(children.columns, parents.columns, strict=True)]
    # Names of their own, so that a table may refer to itself.
    places = range(len(pairs))
    return (
        pa.table([pair[0] for pair in pairs], names=[f"child {place}" for place in places]),
        pa.table([pair[1] for pair in pairs], names=[f"parent {place}" for place in places]),
    )


def alike(first: pa.ChunkedArray, second: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Both of the second one's type, or both as texts where the first cannot be."""
    if first.type == second.type:
        return first, second
    try:
        return first.cast(second.type), second
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return first.cast(pa.string()), second.cast(pa.string())
