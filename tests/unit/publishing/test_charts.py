import xml.etree.ElementTree as ET
from typing import Any

import pytest
from markupsafe import Markup

from tasks.params import Threshold
from tasks.publishing.charts import (
    bars,
    categories,
    cumulated,
    gauge,
    heat_map,
    histogram,
    progress,
)
from tasks.publishing.evidence import Result
from tests.releases import HOSTILE, MEASUREMENTS


def elements(picture: Markup, tag: str, kind: str | None = None) -> list[ET.Element]:
    """The elements of a picture; parsing it also shows that it is well-formed."""
    root = ET.fromstring(picture)  # noqa: S314
    return [e for e in root.iter(tag) if kind is None or e.get("class") == kind]


def test_a_gauge_marks_the_value_between_its_ends() -> None:
    picture = gauge(Result(MEASUREMENTS[0], Threshold(at_most=10.0)))
    (value,) = elements(picture, "circle", "value")
    (allowed,) = elements(picture, "rect", "allowed")
    left = float(allowed.get("x", ""))
    right = left + float(allowed.get("width", ""))
    assert left == 6
    assert left < float(value.get("cx", "")) < right < 294


def test_a_value_beyond_its_threshold_is_marked_as_bad() -> None:
    picture = gauge(Result(MEASUREMENTS[0], Threshold(at_most=1.0)))
    assert elements(picture, "circle", "value-bad")


def test_a_gauge_of_one_number_has_room_on_both_sides() -> None:
    alone = MEASUREMENTS[0].model_copy(update={"reference": None, "interval": None, "value": 0.0})
    (value,) = elements(gauge(Result(alone, None)), "circle", "value")
    assert value.get("cx") == "6"


def test_a_histogram_is_as_high_as_its_densest_bin() -> None:
    column = {"name": "x", "edges": [0, 1, 3], "real": [1, 1], "synthetic": [2, 0]}
    (real,) = elements(histogram(column), "path", "real")
    (synthetic,) = elements(histogram(column), "path", "synthetic")
    # Densities: real 0.5 and 0.25 (its second bin is twice as wide), synthetic 1 and 0.
    assert real.get("d") == "M0 104L0 55L100 55L100 79.5L300 79.5L300 104Z"
    assert synthetic.get("d") == "M0 104L0 6L100 6L100 104L300 104L300 104"


def test_a_constant_column_is_drawn() -> None:
    column = {"name": "x", "edges": [2, 2], "real": [5], "synthetic": [0], "holdout": []}
    assert elements(histogram(column), "path", "real")


def test_rare_categories_are_drawn_as_one() -> None:
    names = [f"c{i}" for i in range(13)]
    column = {"name": "x", "categories": names, "real": list(range(13)), "synthetic": [1] * 13}
    texts = [e.text for e in elements(categories(column), "text")]
    assert texts[0] == "c12"
    assert "3 others" in texts
    assert "23 %" in texts  # three of thirteen synthetic rows


def test_a_heat_map_has_one_path_for_each_level() -> None:
    picture = heat_map([[1, 0.5], [None, -1]], 1, "real", "a map")
    assert [e.get("class") for e in elements(picture, "path")] == ["heat-5", "heat-10"]
    assert elements(picture, "path", "heat-10")[0].get("d") == "M0 0h1v1h-1zM1 1h1v1h-1z"


def test_a_map_of_zeros_is_drawn() -> None:
    assert elements(heat_map([[0, 0], [0, 0]], 0, "error", "a map"), "path", "heat-0")


def test_cumulated_shares_end_at_all_rows() -> None:
    picture = cumulated({"real": [1, 3]}, [0, 1, 2], "distances")
    (line,) = elements(picture, "path", "real")
    assert line.get("d") == "M48 200L304 152L560 8"


def test_progress_spans_the_losses() -> None:
    picture = progress({"real": [(1, 5.0), (2, 3.0)], "synthetic": [(1, 4.0)]}, "losses")
    (line,) = elements(picture, "path", "real")
    assert line.get("d") == "M48 8L560 200"
    assert [e.text for e in elements(picture, "text")] == ["3", "4", "5", "1", "1.5", "2"]


@pytest.mark.parametrize("text", [HOSTILE, "</svg><script>", "\u202e"])
def test_no_text_breaks_out_of_a_picture(text: str) -> None:
    column: dict[str, Any] = {"name": text, "categories": [text], "real": [1], "synthetic": [1]}
    for picture in (categories(column), bars([(text, {"real": 1.0})], text)):
        root = ET.fromstring(picture)  # noqa: S314
        assert {e.tag for e in root.iter()} <= {"svg", "rect", "path", "text", "title"}
        assert text in root.get("aria-label", "")
