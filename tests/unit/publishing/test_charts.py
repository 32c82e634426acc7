import xml.etree.ElementTree as ET
from typing import Any

import pytest
from markupsafe import Markup

from tasks.metrics import Result
from tasks.params import Threshold
from tasks.publishing.charts.columns import categories, histogram
from tasks.publishing.charts.curves import cumulated, progress, roc
from tasks.publishing.charts.gauges import gauge
from tasks.publishing.charts.maps import density_map, pair_map
from tasks.publishing.charts.rows import Bar, bars, marks
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
    assert real.get("d") == "M0 104V55H100V79.5H300V104Z"
    assert synthetic.get("d") == "M0 104V6H100V104H300V104"


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


def test_half_a_matrix_is_drawn_with_the_pairs_as_hints() -> None:
    picture = pair_map([[1, 9], [0.5, 1]], ["a", "b"], 1, "real", "a map")
    (pair,) = elements(picture, "path")
    assert (pair.get("class"), pair.get("d")) == ("heat-5", "M0 1.5h1")
    assert [title.text for title in elements(picture, "title")] == ["a × b: 0.5"]
    assert [name.text for name in elements(picture, "text", "name")] == ["a", "b"]


def test_a_large_map_has_one_path_for_each_level_and_joins_neighbours() -> None:
    n = 100
    matrix = [[0.5 if column < 3 else 1.0 for column in range(n)] for _ in range(n)]
    picture = pair_map(matrix, [f"column {i}" for i in range(n)], 1, "real", "a map")
    half, whole = elements(picture, "path")
    assert half.get("d", "").startswith("M0 1.5h1M0 2.5h2M0 3.5h3M0 4.5h3")
    assert whole.get("d", "").startswith("M3 4.5h1M3 5.5h2")
    assert not elements(picture, "text")


def test_pairs_without_a_value_or_difference_are_drawn_as_nothing() -> None:
    picture = pair_map([[None] * 17] * 17, ["x"] * 17, 0, "error", "a map")
    assert not elements(picture, "path")


def test_a_plane_has_its_first_row_below_and_thin_strokes_where_less() -> None:
    picture = density_map([[0.04, 0], [None, -0.01]], 0.04, "difference", "a plane")
    groups = {g.get("class"): g for g in elements(picture, "g") if g.get("class")}
    assert groups["more"][0].get("d") == "M0 1.5h1"
    assert groups["more"][0].get("class") == "heat-10"
    # The root of a quarter is a half.
    assert (groups["less"][0].get("class"), groups["less"][0].get("d")) == ("heat-5", "M1 0.5h1")


def test_attacks_are_drawn_over_decades_of_false_alarms() -> None:
    picture = roc([([0.0, 0.01, 1.0], [0.0, 0.1, 1.0])], "attacks")
    (curve,) = elements(picture, "path", "attack-0")
    # Two decades on 324 px: a hundredth at the left, a tenth half-way up.
    assert curve.get("d") == "M56 170L380 8"
    texts = [e.text for e in elements(picture, "text", "tick")]
    assert texts[:6] == ["100 %", "100 %", "10 %", "10 %", "1 %", "1 %"]


def test_bars_begin_at_guessing_and_carry_whiskers() -> None:
    picture = bars([("trees", [Bar("real", 0.75, (0.5, 1.0))])], "scores", floor=0.5)
    (bar,) = elements(picture, "rect", "real")
    assert (bar.get("x"), bar.get("width")) == ("0", "180")
    (whisker,) = elements(picture, "path", "whisker")
    assert whisker.get("d") == "M0 24H360M0 21v6M360 21v6"


def test_a_bar_below_guessing_points_to_the_left() -> None:
    picture = bars([("a", [Bar("synthetic", 0.4), Bar("real", 0.6)])], "scores", floor=0.5)
    left, right = elements(picture, "rect")
    assert (left.get("x"), left.get("width")) == ("0", "180")
    assert (right.get("x"), right.get("width")) == ("180", "180")


def test_marks_stand_at_their_shares() -> None:
    picture = marks([("a", {"real": 0.2, "synthetic": 0.4})], "shares")
    # 18.6 px for a name of one letter; 0 to 0.4 take the rest of 404 px.
    (mark,) = elements(picture, "circle", "mark-synthetic")
    assert mark.get("cx") == "404"
    assert [e.text for e in elements(picture, "text", "tick")] == [
        "0 %",
        "10 %",
        "20 %",
        "30 %",
        "40 %",
    ]


def test_a_share_of_nothing_has_its_place_on_a_logarithmic_axis() -> None:
    picture = marks([("a", {"real": 0.01, "synthetic": 0.0})], "shares", logarithmic=True)
    (mark,) = elements(picture, "circle", "mark-synthetic")
    assert mark.get("cx") == "18.6"
    assert [e.text for e in elements(picture, "text", "tick")] == ["0 %", "1 %", "10 %"]


def test_cumulated_shares_end_at_all_rows() -> None:
    picture = cumulated({"real": [1, 3]}, [0, 1, 2], "distances")
    (line,) = elements(picture, "path", "real")
    assert line.get("d") == "M44 180L232 137L420 8"


def test_progress_spans_the_losses() -> None:
    picture = progress({"real": [(1, 5.0), (2, 3.0)], "synthetic": [(1, 4.0)]}, "losses")
    (line,) = elements(picture, "path", "real")
    assert line.get("d") == "M44 8L420 180"
    assert [e.text for e in elements(picture, "text")] == ["3", "4", "5", "1", "1.5", "2"]


@pytest.mark.parametrize("text", [HOSTILE, "</svg><script>", "\u202e"])
def test_no_text_breaks_out_of_a_picture(text: str) -> None:
    column: dict[str, Any] = {"name": text, "categories": [text], "real": [1], "synthetic": [1]}
    for picture in (
        categories(column),
        bars([(text, [Bar("real", 1.0)])], text),
        marks([(text, {"real": 1.0})], text),
        pair_map([[1.0, 1.0], [1.0, 1.0]], [text, text], 1, "real", text),
    ):
        root = ET.fromstring(picture)  # noqa: S314
        assert {e.tag for e in root.iter()} <= {"svg", "g", "rect", "path", "text", "title"}
        assert text in root.get("aria-label", "")
