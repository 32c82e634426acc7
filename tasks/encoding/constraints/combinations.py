"""Fixed combinations: columns whose values belong together are learned as one."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tasks.constraints.check import combinations, places_among
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.columns.categorical import as_texts, from_texts
from tasks.encoding.constraints.base import Cells, Step, new_name
from tasks.errors import DataError
from tasks.schema import Column, TableSchema, arrow_type


class Combination(Step):
    """The number of a combination in place of its columns, commonest first.

    Lost: a combination that fills fewer rows than `COMMON_ROWS` is never published; it is learned
    as a missing number, for which `decode` draws one of the others by their frequency.

    Attributes:
        known: the combinations that may be published.
        counts: (K,) their rows.
    """

    def __init__(self, known: pa.Table, counts: np.ndarray, learned: Column) -> None:
        self.known = known
        self.counts = counts
        self.learned = [learned]
        self.made = list(known.column_names)
        self.needs = []

    @classmethod
    def fit(cls, table: TableSchema, columns: list[str], rows: Cells) -> Self:
        """Find the common combinations.

        Raises:
            DataError: there is none.
        """
        found = combinations(pa.table({name: rows[name] for name in columns}), columns, COMMON_ROWS)
        if found.num_rows == 0:
            raise DataError(
                f"fixed_combinations of {', '.join(columns)}: expected a combination that fills"
                f" {COMMON_ROWS} rows at least, found none; take a column out of it"
            )
        learned = Column(
            name=new_name(" + ".join(columns), table.column_names),
            type="int32",
            meaning="categorical",
            personal=any(table.column(name).personal for name in columns),
        )
        return cls(found.select(columns), found["n_rows"].to_numpy(), learned)

    def encode(self, rows: Cells) -> dict[str, pa.Array]:
        """The number of each combination."""
        batch = pa.table({name: rows[name] for name in self.made})
        places = places_among(batch, self.known, self.made)
        numbers = pa.array(places.astype(np.int32), pa.int32(), mask=places < 0)
        return {self.learned[0].name: numbers}

    def decode(self, learned: Cells, rows: Cells, rng: np.random.Generator) -> dict[str, pa.Array]:
        """The columns of each combination; of a rare one, those of another."""
        del rows
        numbers = learned[self.learned[0].name]
        rare = numbers.is_null().to_numpy(zero_copy_only=False)
        places = numbers.fill_null(0).to_numpy().astype(np.int64)
        shares = self.counts / self.counts.sum()
        places[rare] = rng.choice(len(shares), size=int(rare.sum()), p=shares)
        taken = self.known.take(pa.array(places)).combine_chunks()
        return {name: _whole(taken[name]) for name in self.made}

    def state(self) -> dict[str, Any]:
        """JSON that, with the table, makes this step again."""
        return {
            "known": {name: as_texts(_whole(self.known[name])) for name in self.made},
            "counts": self.counts.tolist(),
            "learned": self.learned[0].model_dump(mode="json"),
        }

    @classmethod
    def from_state(cls, table: TableSchema, content: Mapping[str, Any]) -> Self:
        """The step whose `state()` this is."""
        known = pa.table(
            {
                name: from_texts(texts, arrow_type(table.column(name)))
                for name, texts in content["known"].items()
            }
        )
        learned = Column.model_validate(content["learned"])
        return cls(known, np.array(content["counts"], dtype=np.int64), learned)


def _whole(values: pa.ChunkedArray) -> pa.Array:
    combined = values.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
