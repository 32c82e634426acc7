"""What `synthesize` says of rows that it wrote."""

import pyarrow as pa

from tasks.commands.synthesize import _hidden
from tasks.encoding.columns.categorical import SUPPRESSED


def test_columns_whose_texts_are_suppressed_are_told() -> None:
    rows = pa.record_batch(
        {
            "number": [1, 2, 3, 4],
            "some": ["x", "x", "x", SUPPRESSED],
            "most": ["x", None, SUPPRESSED, SUPPRESSED],
            "all": [SUPPRESSED, None, SUPPRESSED, SUPPRESSED],
            "none": pa.nulls(4, pa.string()),
        }
    )
    most, every = _hidden([rows.slice(0, 2), rows.slice(2)])
    assert most.startswith("column 'most': 67% of the values are (suppressed)")
    assert every.startswith("column 'all': every value is (suppressed)")
    assert "say --kind text" in every
    assert _hidden([]) == []
