import datetime as dt

import pyarrow as pa
import pytest

from tasks.commands.spelling import learn

DAYS = [dt.date(2020, 3, 4), dt.date(1999, 12, 31)]
MOMENTS = [dt.datetime(2020, 3, 4, 5, 6, 7), dt.datetime(1999, 12, 31, 23, 0, 0)]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["2020-03-04", "1999-12-31"], pa.array(DAYS)),
        (["03/04/2020", "12/31/1999"], pa.array(DAYS)),
        (["3/4/2020", "12/31/1999"], pa.array(DAYS)),
        (["04/03/2020", "31/12/1999"], pa.array(DAYS)),
        (["04.03.2020", "31.12.1999"], pa.array(DAYS)),
        (["2020-03-04 05:06:07", "1999-12-31 23:00:00"], pa.array(MOMENTS)),
        (["2020-03-04T05:06:07", "1999-12-31T23:00:00"], pa.array(MOMENTS)),
        (
            ["2020-03-04T05:06:07Z", "1999-12-31T23:00:00Z"],
            pa.array(MOMENTS, pa.timestamp("us", "UTC")),
        ),
        (["TRUE", "FALSE"], pa.array([True, False])),
        (["True", "False"], pa.array([True, False])),
        (["12.50", "3.00"], pa.array([12.5, 3.0])),
        (["12,50", "3,00"], pa.array([12.5, 3.0])),
        (["0.1", "3.0", "1e-07"], pa.array([0.1, 3.0, 1e-7])),
        (["0.25", "3"], pa.array([0.25, 3.0])),
        (["4611686018427387905", "7"], pa.array([4611686018427387905, 7])),
        (["00386", "東京"], pa.array(["00386", "東京"])),
        (["NA", "NA", "", "5"], pa.array([None, None, None, 5])),
        (["", ""], pa.array([None, None], pa.string())),
    ],
)
def test_values_are_written_as_they_were_read(texts: list[str], values: pa.Array) -> None:
    write = learn(texts, values)
    usual = [
        texts[0] if value is None else text
        for text, value in zip(texts, values.to_pylist(), strict=True)
    ]
    assert [write(value) for value in values.to_pylist()] == usual


def test_a_value_that_never_occurred_is_written_alike() -> None:
    assert learn(["1.50", "2.25"], pa.array([1.5, 2.25]))(7.0) == "7.00"
    assert learn(["TRUE"], pa.array([True]))(False) == "false"
    assert learn(["3/4/2020"], pa.array([DAYS[0]]))(dt.date(2021, 11, 9)) == "11/9/2021"
    assert learn(["5"], pa.array([5]))(None) == ""
