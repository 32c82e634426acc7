"""What the first screen says, by results that a person can judge at a glance."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from tasks.metrics import Family, Measurement, Result
from tasks.params import Threshold
from tasks.publishing.answers import answers, key_results, reasons
from tasks.publishing.limits import not_tested
from tasks.publishing.page import Page, page_of_files
from tasks.publishing.report import families, report
from tasks.publishing.wording import allowance, remark
from tasks.schema import Column, DatasetSchema, TableSchema

COLUMNS = (
    Column(name="age", type="int64", meaning="numeric"),
    Column(name="name", type="string", meaning="text", personal=True),
    Column(name="ill", type="string", meaning="categorical"),
)
SCHEMA = DatasetSchema(
    kind="tabular", tables=(TableSchema(name="table", columns=COLUMNS),), target="ill"
)


def result(
    name: str,
    family: Family,
    value: float | None,
    reference: float | None = None,
    threshold: Threshold | None = None,
    **more: Any,
) -> Result:
    measurement = Measurement(
        name=name,
        label=name.replace("_", " "),
        family=family,
        goal=more.pop("goal", "lower"),
        value=value,
        reference=reference,
        explanation=f"About {name}.",
        source="somebody",
        **more,
    )
    return Result(measurement, threshold, demanded=True)


def page(
    *results: Result, passed: bool = True, checks: Any = (), plots: Mapping[str, Any] | None = None
) -> Page:
    return page_of_files(
        title="C.csv",
        description="Compared with A.csv and B.csv.",
        schema=SCHEMA,
        n_rows={"train": 90, "holdout": 30, "synthetic": 120},
        results=results,
        plots=plots or {},
        verdict={"passed": passed, "checks": list(checks)},
        synthetic=pa.table({"age": [41, None], "ill": ["no", "yes"]}),
    )


SHAPES = result("shape_error", "fidelity", 12.5, 2.0, Threshold(at_most=10.0), interval=(12, 13))
ATTACK = result(
    "membership_density",
    "privacy",
    0.53,
    0.5,
    Threshold(at_most_reference_plus=0.04),
    interval=(0.52, 0.54),
    reference_interval=(0.49, 0.51),
)
QUIET = result("exact_copies", "privacy", 0.0, 0.0, Threshold(at_most=0.1))


def test_a_refusal_says_what_was_found_allowed_and_possible() -> None:
    refused = page(SHAPES, QUIET, passed=False)
    (reason,) = reasons(refused)
    assert (reason.what, reason.found) == ("shape error", "12.5 (95 %: 12 to 13)")
    assert (reason.allowed, reason.reference) == ("≤ 10", "2")
    first, _, _ = answers(refused)
    assert (first.short, first.good) == ("No", False)
    assert first.details == "It was refused for the reason below. 1 of 2 thresholds are met."
    text = report(refused)
    assert "Why it was refused" in text
    assert "fresh real data reaches 2" in text


def test_what_just_misses_its_limit_does_not_seem_to_meet_it() -> None:
    close = result("rare_groups", "diversity", 0.9996, 1, Threshold(at_least=1), goal="higher")
    (reason,) = reasons(page(close, passed=False))
    assert (reason.found, reason.allowed) == ("0.9996", "≥ 1")


def test_what_is_refused_is_not_praised_for_its_models() -> None:
    score = result("utility", "utility", 0.9, 0.9, Threshold(at_least=0.5), goal="higher")
    _, second, _ = answers(page(score, SHAPES, passed=False))
    assert second.good is None


def test_a_family_that_nothing_proved_is_a_reason() -> None:
    check = {
        "type": "threshold",
        "target": "diversity",
        "description": "a metric of diversity that decides",
        "passed": False,
        "observed": "none of them applies to this data",
    }
    (reason,) = reasons(page(QUIET, passed=False, checks=[check]))
    assert reason.what == "Diversity"
    assert reason.found == "none of them applies to this data"


def test_a_demanded_metric_without_a_value_says_why() -> None:
    absent = result(
        "coverage", "diversity", None, None, Threshold(at_least=0.5), not_applicable="1 row"
    )
    (reason,) = reasons(page(absent, passed=False))
    assert reason.found == "no value: 1 row"


def test_files_that_pass_may_be_used_under_an_unknown_licence() -> None:
    first, _, _ = answers(page(QUIET, result("trend_error", "fidelity", 3.0)))
    assert first.good
    assert first.short == "Yes, by all thresholds"
    assert (
        first.details
        == "1 of 1 thresholds are met; 1 more metrics inform. Its licence is not known here."
    )


def test_the_best_model_is_told_beside_its_twin() -> None:
    models = [
        {"model": "linear model", "real": 0.9, "synthetic": 0.89},
        {"model": "boosted trees", "real": 0.95, "synthetic": 0.91},
    ]
    plots = {"utility": {"score": "AUC", "target": "ill", "rows": 90, "models": models}}
    score = result("utility", "utility", 0.91, 0.95, Threshold(at_least=0.9), goal="higher")
    _, second, _ = answers(page(score, plots=plots))
    assert (second.short, second.good) == ("Models of “ill”", True)
    assert "(boosted trees) reaches AUC 0.91 when it learns from this data" in second.details
    assert second.details.endswith("0.95 when it learns from the real data.")
    bad = result("utility", "utility", 0.6, 0.95, Threshold(at_least=0.9), goal="higher")
    _, second, _ = answers(page(bad))
    assert (second.short, second.good) == ("Not for models of “ill”", False)


def test_the_attack_that_stands_out_is_named() -> None:
    # 0.03 above the reference, where both intervals explain 0.014.
    _, _, third = answers(page(QUIET, ATTACK))
    assert (third.short, third.good) == ("Within all 2 limits", True)
    assert "1 of 2 attacks and searches for copies stands out from fresh real data" in third.details
    assert "The strongest: membership density: 0.53 (fresh real data: 0.5)" in third.details
    assert third.details.endswith("Whether there is a formal guarantee is unknown.")


def test_where_nothing_stands_out_the_nearest_to_its_limit_is_named() -> None:
    within = result("linkability", "privacy", 0.05, 0.05, Threshold(at_most=0.1))
    _, _, third = answers(page(QUIET, within))
    assert third.details.startswith("None of 2 attacks and searches for copies stands out")


def test_a_failed_attack_is_the_strongest_finding() -> None:
    copies = result("copied_rows", "privacy", 0.2, 0.0, Threshold(at_most=0.01))
    _, _, third = answers(page(ATTACK, copies, passed=False))
    assert (third.short, third.good) == ("Outside 1 of 2 limits", False)
    assert "The strongest: copied rows: 0.2" in third.details


def test_distances_alone_do_not_speak_for_privacy() -> None:
    distance = result("dcr_share", "privacy", 0.9, 0.5, Threshold(at_most=1.0), decisive=False)
    _, _, third = answers(page(distance, QUIET))
    assert "exact copies" in third.details


def test_the_first_cards_are_failures_then_families_in_turn() -> None:
    many = [result(f"worst_{i}", "fidelity", 1.0, 1.0, Threshold(at_most=2)) for i in range(8)]
    cover = result("coverage", "diversity", 0.9, 0.9, Threshold(at_least=0.5), goal="higher")
    informing = result("trend_error", "fidelity", 3.0)
    names = [r.measurement.name for r in key_results(page(informing, *many, cover, QUIET, SHAPES))]
    assert len(names) == 6
    assert {"shape_error", "coverage", "exact_copies"} <= set(names)
    assert "trend_error" not in names


def test_metrics_are_grouped_with_what_failed_first() -> None:
    missing = result("missing_error", "fidelity", None, not_applicable="no value is missing")
    informing = result("trend_error", "fidelity", 3.0)
    trends = result("trend_error_real_bins", "fidelity", 1.0, 1.0, Threshold(at_most=5.0))
    (view,) = families(page(informing, trends, SHAPES, Result(missing.measurement, None)))
    names = [r.measurement.name for r in view.results]
    assert names == ["shape_error", "trend_error_real_bins", "trend_error"]
    assert view.summary == "1 of 2 thresholds met, 1 for information, 1 not applicable"


@pytest.mark.parametrize(
    ("name", "value", "interval", "told"),
    [
        ("c2st_auc", 0.3, (0.28, 0.32), "Copies of real rows"),
        ("c2st_auc", 0.49, (0.47, 0.51), ""),
        ("membership AUC", 0.4, (0.38, 0.42), "no leak"),
        ("dcr_share", 0.4, (0.38, 0.42), "no leak"),
        ("shape_error", 0.3, (0.2, 0.4), ""),
    ],
)
def test_a_value_that_would_be_misread_is_explained(
    name: str, value: float, interval: tuple[float, float], told: str
) -> None:
    found = remark(result(name, "fidelity", value, 0.5, interval=interval))
    assert told in found
    assert bool(told) == bool(found)


def test_the_share_of_the_allowance_that_is_used() -> None:
    assert allowance(result("a", "privacy", 0.3, 0.2, Threshold(at_most=0.4))) == pytest.approx(0.5)
    upwards = result("a", "utility", 0.8, 0.9, Threshold(at_least=0.5), goal="higher")
    assert allowance(upwards) == pytest.approx(0.25)
    assert allowance(result("a", "privacy", 0.3, None, Threshold(at_most=0.4))) is None


def test_limits_follow_what_was_measured_and_what_the_schema_holds() -> None:
    attacks = [
        result(name, "privacy", 0.1)
        for name in ("membership_density", "attribute_inference", "linkability", "singling_out_one")
    ]
    told = " ".join(not_tested(attacks, SCHEMA, guarantee=True))
    for word in ("Membership", "Attribute", "Linkability", "Singling", "guarantee"):
        assert word not in told
    assert "What texts and identifiers say: name took no part" in told
    assert "Fairness" in told
    assert "formal privacy guarantee" in " ".join(not_tested([], SCHEMA, guarantee=None))


def test_groups_of_personal_columns_are_not_drawn() -> None:
    plots = {
        "rare_groups": [{"group": "name = Ada and ill = yes", "real": 0.01, "synthetic": 0.01}],
        "fairness": [{"column": "name", "group": "Ada", "rate_real": 0.1, "rate_synthetic": 0.1}],
        "attributes": [{"column": "name", "training": 0.1, "holdout": 0.1, "baseline": 0.1}],
        "giveaways": [{"column": "name", "importance": 1.0}],
    }
    text = report(page(QUIET, plots=plots))
    assert "Ada" not in text
    assert 'id="fairness"' not in text


def test_files_have_no_gates_no_licence_and_no_command() -> None:
    text = report(page(QUIET))
    assert "table: the first 2 of 120 synthetic rows" in text
    for absent in ('id="gates"', 'id="verify"', "Licence:", 'id="generator"', "learned from <b>"):
        assert absent not in text


@pytest.mark.parametrize(
    "plots",
    [
        {"columns": [{"name": "ill", "error": None, "categories": [], "real": []}]},
        {"columns": [{"name": "age", "error": None, "edges": [0, 1], "real": [0.0]}]},
        {"columns": [{"name": "age", "error": 1e9, "edges": [-1e300, 1e300], "real": [1.0]}]},
        {
            "pairs": {
                "columns": ["age", "ill"],
                "real": [[None, None]] * 2,
                "synthetic": [[None, None]] * 2,
                "error": [[None, None]] * 2,
            }
        },
        {"projection": {"real": [[0.0]], "synthetic": [[0.0]], "axes": ["component 1 (0 %)"]}},
        {
            "utility": {
                "score": "R2",
                "target": "ill",
                "models": [
                    {"model": "a", "real": None, "synthetic": -3.0},
                    {"model": "b", "real": 0.2, "synthetic": None},
                ],
            }
        },
        {"membership": [{"attack": "a", "auc": 0.5, "fpr": [], "tpr": []}]},
        {"attributes": [{"column": "ill", "training": None, "holdout": None, "baseline": 0.0}]},
        {"rare_groups": [{"group": "ill = yes", "real": 0.0, "synthetic": 0.0}]},
        {"rare_groups": [{"group": "ill = yes", "real": 0.1, "synthetic": 0.0, "holdout": None}]},
        {"dcr": {"edges": [0.0, 0.0], "to_train": [0], "to_holdout": [0]}},
        {"giveaways": [{"column": "age", "importance": 0.0}]},
    ],
)
def test_next_to_nothing_is_drawn_without_complaint(plots: dict[str, Any]) -> None:
    utility = result("utility", "utility", 0.5, 0.6, Threshold(at_least=0.1), goal="higher")
    assert "<svg" in report(page(utility, plots=plots))
