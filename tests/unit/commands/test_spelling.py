import datetime as dt

import pyarrow as pa
import pytest

from tasks.commands.spelling import learn, write_all

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
        (["0.0000001", "3"], pa.array([1e-7, 3.0])),
        (["1.50E+05", "2.25E-03"], pa.array([1.5e5, 2.25e-3])),
        (["1.500e-05", "2.250e-03", "1.000e+02"], pa.array([1.5e-5, 2.25e-3, 100.0])),
        (["0e+0", "1.5e+3", "2e+3"], pa.array([0.0, 1500.0, 2000.0])),
        (["5e6", "1e3"], pa.array([5e6, 1e3])),
        (["1,250", "999", "-3,000,000"], pa.array([1250, 999, -3000000])),
        (["-$1,250.00", "$3.50"], pa.array([-1250.0, 3.5])),
        (["1.250,75 €", "-3,50 €"], pa.array([1250.75, -3.5])),
        (["12.5%", "3.0%"], pa.array([12.5, 3.0])),
        (["12 %", "-3 %"], pa.array([12.0, -3.0])),
        (["3/4/20", "12/31/99"], pa.array(DAYS)),
        (["04-Mar-2020", "31-Dec-1999"], pa.array(DAYS)),
        (["04-MAR-20", "31-DEC-99"], pa.array(DAYS)),
        (["Mar 4, 2020", "Dec 31, 1999"], pa.array(DAYS)),
        (["3/4/2020 5:06:07 AM", "12/31/1999 11:00:00 PM"], pa.array(MOMENTS)),
        (["2020-03-04 05:06:07.000", "1999-12-31 23:00:00.000"], pa.array(MOMENTS)),
        (["2020-03-04 05:06:07.0000000", "1999-12-31 23:00:00.0000000"], pa.array(MOMENTS)),
        (
            ["2020-03-04T07:06:07+0200", "2000-01-01T01:00:00+0200"],
            pa.array(MOMENTS, pa.timestamp("us", "UTC")),
        ),
        (["5:06", "23:00"], pa.array([dt.time(5, 6), dt.time(23)], pa.time64("us"))),
        (["05:06:07", "23:00:00"], pa.array([m.time() for m in MOMENTS], pa.time64("us"))),
        (["4611686018427387905", "7"], pa.array([4611686018427387905, 7])),
        (["00386", "東京"], pa.array(["00386", "東京"])),
        (["NA", "NA", "", "5"], pa.array([None, None, None, 5])),
        (["", ""], pa.array([None, None], pa.string())),
    ],
)
def test_values_are_written_as_they_were_read(texts: list[str], values: pa.Array) -> None:
    write = learn(pa.array(texts), values)
    usual = [
        texts[0] if value is None else text
        for text, value in zip(texts, values.to_pylist(), strict=True)
    ]
    assert [write(value) for value in values.to_pylist()] == usual
    assert write_all(write, values) == usual


def test_a_value_that_never_occurred_is_written_alike() -> None:
    assert learn(pa.array(["1.50", "2.25"]), pa.array([1.5, 2.25]))(7.0) == "7.00"
    assert learn(pa.array(["TRUE"]), pa.array([True]))(False) == "false"
    assert learn(pa.array(["3/4/2020"]), pa.array([DAYS[0]]))(dt.date(2021, 11, 9)) == "11/9/2021"
    assert learn(pa.array(["5"]), pa.array([5]))(None) == ""
