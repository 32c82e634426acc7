"""Stage: hold data, or the metrics of a release, at a gate."""

import logging
from pathlib import Path
from typing import Any

from tasks.errors import GateRefused, ParamsError
from tasks.gates.constraints import check_were_held, constraints_of, examine_constraints
from tasks.gates.release import TABLE, check_thresholds, metrics_frame
from tasks.gates.run import Check, Examination, examine, publish_docs, to_frame
from tasks.gates.suites import Suite, load_suite
from tasks.metrics import judged, read_measurements
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.storage import read_json, read_table, write_json
from tasks.workspace import Gate, Layout

logger = logging.getLogger(__name__)


def validate(gate: Gate, at: Layout, params: DatasetParams, *, docs: Path) -> None:
    """Examine what stands before a gate, and let it pass or refuse it.

    Reads:
        at.suite(gate), and what the gate is about: the raw, clean or synthetic data, or the metrics
        of evaluation and audit. The constraints that are declared of the data come from its schema;
        fixed combinations of synthetic data are held against at.balanced.

    Writes:
        at.verdict(gate): only if it passes. A refusal is kept as `refusals/<dataset>/<gate>.json`
        beside `docs`, because DVC keeps no output of a stage that fails. Both go to the Data Docs.

    Args:
        gate: which one.
        at: where the dataset is.
        params: of the dataset; its thresholds count at the release gate.
        docs: folder of the Data Docs.

    Raises:
        ParamsError: the suite is malformed.
        GateRefused: an expectation or a threshold is not met; the message names each.
    """
    at.verdict(gate).unlink(missing_ok=True)
    suite = load_suite(at.suite(gate)).at(gate)
    if gate == "release":
        examinations, further = _examine_metrics(suite, at, params)
    else:
        folder = {"raw": at.raw, "clean": at.clean, "synthetic": at.synthetic}[gate]
        trained = at.balanced if gate == "synthetic" else None
        examinations = [*_examine_data(suite, folder), *_examine_constraints(folder, trained)]
        further = []
    checks = [check for e in examinations for check in e.checks] + further
    verdict = _verdict(gate, at.dataset, suite, checks)
    page = publish_docs(
        f"{at.dataset}_{gate}",
        examinations,
        config=at.root / "great_expectations",
        docs=docs,
    )
    refusal = docs.parent / "refusals" / at.dataset / f"{gate}.json"
    place = at.verdict(gate) if verdict["passed"] else refusal
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, verdict)
    if not verdict["passed"]:
        raise GateRefused(_explanation(verdict, refusal, page))
    refusal.unlink(missing_ok=True)
    logger.info("gate %s of %s passed: %d expectations met", gate, at.dataset, len(checks))


def _examine_data(suite: Suite, folder: Path) -> list[Examination]:
    schema = DatasetSchema.load(folder)
    examinations = []
    for name in suite.tables:
        if name is not None and name not in [t.name for t in schema.tables]:
            raise ParamsError(
                f"suite {suite.name!r} is about table {name!r}; the data has:"
                f" {', '.join(t.name for t in schema.tables)}"
            )
        table = schema.main if name is None else schema.table(name)
        expectations = suite.of_table(name)
        names = table.column_names
        needed = {column for e in expectations for column in e.columns(names)}
        # Without any column the rows could not be counted; the last one is no image.
        columns = [c for c in names if c in needed] or names[-1:]
        frame = to_frame(read_table(folder, table.name, columns), names)
        # Verdicts, their pages and messages are never encrypted.
        secret = frozenset(c.name for c in table.columns if table.encrypted or c.personal)
        examinations.append(examine(table.name, frame, expectations, secret))
    return examinations


def _examine_constraints(folder: Path, trained: Path | None) -> list[Examination]:
    examinations = []
    for table in DatasetSchema.load(folder).tables:
        constraints = constraints_of(table)
        names = list(dict.fromkeys(name for c in constraints for name in c.names))
        if names:
            rows = read_table(folder, table.name, names)
            combined = any(c.type == "fixed_combinations" for c in constraints)
            real = read_table(trained, table.name, names) if trained and combined else None
            examinations.append(examine_constraints(table, rows, real))
    return examinations


def _examine_metrics(
    suite: Suite, at: Layout, params: DatasetParams
) -> tuple[list[Examination], list[Check]]:
    measurements = read_measurements(at.evaluation) + read_measurements(at.audit)
    results = judged(measurements, params.thresholds)
    examination = examine(TABLE, metrics_frame(results), suite.expectations, frozenset())
    checks = check_thresholds(results, params.thresholds)
    held = [Check.model_validate(c) for c in read_json(at.verdict("synthetic"))["checks"]]
    for table in DatasetSchema.load(at.synthetic).tables:
        checks += check_were_held(table, held)
    return [examination], checks


def _verdict(gate: Gate, dataset: str, suite: Suite, checks: list[Check]) -> dict[str, Any]:
    n_failed = sum(not check.passed for check in checks)
    return {
        "gate": gate,
        "dataset": dataset,
        "passed": n_failed == 0,
        "suite_sha256": suite.sha256,
        "n_expectations": len(checks),
        "n_failed": n_failed,
        "checks": [check.model_dump() for check in checks],
    }


def _explanation(verdict: dict[str, Any], refusal: Path, page: Path | None) -> str:
    of_all = f"{verdict['n_failed']} of {verdict['n_expectations']} expectations are not met"
    lines = [f"gate {verdict['gate']} of {verdict['dataset']} refused: {of_all}"]
    for check in verdict["checks"]:
        if not check["passed"]:
            target = check["target"] or "the table"
            expected = f"expected: {check['description']}; found: {check['observed']}"
            lines.append(f"  - {target}: {expected}")
    if verdict["gate"] in ("raw", "clean"):
        lines.append(
            f"If the data, or `clean:`, changed on purpose: `proofmint learn {verdict['dataset']}`"
            " writes the suites anew, for you to review."
        )
    lines.append(f"The verdict is kept at {refusal}" + (f"; pages: {page}" if page else "") + ".")
    return "\n".join(lines)
