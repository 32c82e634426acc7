"""What `benchmarks/tabular.py` measured, as Markdown for the documentation."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Run = Mapping[str, Any]
"""What one run of a system took and how good it was; keys as `measured.Usage`, `scores.scores`."""

OURS = "proofmint"

_QUALITY = {
    "shape %": ("shape_error", "{:.2f}"),
    "trend %": ("trend_error", "{:.2f}"),
    "trend %, real bins": ("trend_error_real_bins", "{:.2f}"),
    "LR detection": ("lr_detection", "{:.3f}"),
    "C2ST LightGBM": ("c2st_lightgbm", "{:.3f}"),
    "C2ST XGBoost": ("c2st_xgboost", "{:.3f}"),
    "MLE": ("mle", "{:.4f}"),
    "DCR share": ("dcr_share", "{:.3f}"),
    "exact copies": ("exact_copies", "{:.2%}"),
}
_COST = {
    "fit, CPU s": ("fit_cpu_seconds", "{:.1f}"),
    "sample, CPU s": ("sample_cpu_seconds", "{:.1f}"),
    "fit, wall s": ("fit_wall_seconds", "{:.1f}"),
    "sample, wall s": ("sample_wall_seconds", "{:.1f}"),
    "process, CPU s": ("cpu_seconds", "{:.1f}"),
    "process, wall s": ("wall_seconds", "{:.1f}"),
    "peak MiB": ("peak_mib", "{:.0f}"),
}


def quality(runs: Mapping[str, Sequence[Run]], references: Mapping[str, Run]) -> str:
    """A row for each system and each reference, with the medians of its runs."""
    rows = {**references, **{label: _medians(found) for label, found in runs.items()}}
    return _table(rows, _QUALITY)


def cost(runs: Mapping[str, Sequence[Run]]) -> str:
    """A row for each system, with the medians of its runs."""
    return _table({label: _medians(found) for label, found in runs.items()}, _COST)


def ratios(runs: Mapping[str, Sequence[Run]], ours: str) -> list[str]:
    """How many times our processor time and memory each of the others takes.

    Args:
        runs: of each system, by its label.
        ours: the label of those that the others are divided by.
    """
    medians = {label: _medians(found) for label, found in runs.items()}
    if "cpu_seconds" not in medians.get(ours, {}) or not _ended(runs[ours]):
        return []
    base = medians.pop(ours)
    lines = []
    for label, found in medians.items():
        least = "" if _ended(runs[label]) else "at least "
        cpu, memory = (found[key] / base[key] for key in ("cpu_seconds", "peak_mib"))
        lines.append(
            f"{label}: {least}{cpu:.1f} times our processor time, {memory:.1f} times our memory"
        )
    return lines


def real_lines(found: Run) -> list[str]:
    """What the columns are to be read against, from the scores of as many real rows."""
    lines = [f"Exact copies among the real test rows: {found['exact_copies_test']:.2%}."]
    if found["mle_real"] is not None:
        lines.append(f"MLE of a model that learned from the real rows: {found['mle_real']:.4f}.")
    slow, quick = found["report_cpu_seconds"], found["our_report_seconds"]
    lines.append(
        f"Shape and trend errors: SDMetrics' quality report {slow:.2f} CPU s, ours {quick:.2f}"
        f" CPU s ({slow / quick:.1f} times)."
    )
    return lines


def _ended(runs: Sequence[Run]) -> bool:
    return all(run["exit_status"] == 0 for run in runs)


def _medians(runs: Sequence[Run]) -> dict[str, float]:
    """Of what all runs have; a run that was given up only has what it took until then."""
    every = [{**run, "peak_mib": run["peak_bytes"] / 2**20} for run in runs]
    keys = [key for key in every[0] if all(_is_number(run.get(key)) for run in every)]
    return {key: median(run[key] for run in every) for key in keys}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _table(rows: Mapping[str, Run], columns: Mapping[str, tuple[str, str]]) -> str:
    lines = [["", *columns], ["---", *["---:"] * len(columns)]]
    for label, row in rows.items():
        cells = (
            shape.format(row[key]) if _is_number(row.get(key)) else "-"
            for key, shape in columns.values()
        )
        lines.append([label, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
