"""What a person sees at the end of an evaluation: the verdict, and each metric that decided it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.commands.three_files import Part
from tasks.metrics import Result, unproved
from tasks.schema import DatasetSchema

_HEAD = ("", "value", "95 % interval", "real data", "allowed", "met")


def verdict(results: Sequence[Result]) -> dict[str, Any]:
    """Whether all thresholds are met and every family is proved, as the release gate writes it."""
    checks = [
        {
            "type": "threshold",
            "target": r.measurement.name,
            "description": _allowed(r),
            "passed": r.passed,
            "observed": f"{_number(r.measurement.value)} (real holdout:"
            f" {_number(r.measurement.reference)})",
        }
        for r in results
        if r.passed is not None
    ]
    checks += [
        {
            "type": "threshold",
            "target": family,
            "description": f"a metric of {family} that decides",
            "passed": False,
            "observed": "none of them applies to this data",
        }
        for family in unproved(results)
    ]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}


def reasons(results: Sequence[Result]) -> list[str]:
    """Why the data is refused, a line each: metric, found, allowed, and what real data reaches."""
    told = []
    for r in results:
        if r.passed is False:
            m = r.measurement
            reached = (
                "there is no real data to compare with"
                if m.reference is None
                else f"fresh real data reaches {m.reference:.6g}"
            )
            told.append(
                f"{m.name} ({m.label}): found {_precise(m.value)}, allowed {_allowed(r)}, {reached}"
            )
    for family in unproved(results):
        told.append(f"{family}: found no metric that decides and applies to this data")
    return told


def table(
    title: str,
    n_rows: Mapping[Part, int],
    schema: DatasetSchema,
    results: Sequence[Result],
    judgement: Mapping[str, Any],
) -> str:
    """The verdict, the sizes, and a line for each metric that decides."""
    deciding = [r for r in results if r.passed is not None]
    met = sum(bool(r.passed) for r in deciding)
    skipped = [r.measurement for r in results if r.measurement.value is None]
    unit = "row" if schema.kind == "tabular" else schema.kind
    sizes = (
        f"{n_rows['synthetic']:,} synthetic {unit}s, {n_rows['real']:,} real,"
        f" {n_rows['holdout']:,} held out"
    )
    if schema.kind == "tabular":
        sizes += f", {len(schema.main.columns)} columns"
    word = "PASSED" if judgement["passed"] else "REFUSED"
    lines = [
        title,
        sizes,
        "",
        f"{word}: {met} of {len(deciding)} thresholds met",
        "",
        *_lines(deciding),
    ]
    lines += [f"not proved: {family}" for family in unproved(results)]
    if skipped:
        lines += ["", "not applicable:"]
        width = max(len(m.name) for m in skipped)
        lines += [f"  {m.name.ljust(width)}  {m.not_applicable}" for m in skipped]
    informing = len(results) - len(deciding) - len(skipped)
    return "\n".join([*lines, "", f"{informing} more metrics inform without deciding."])


def _lines(deciding: Sequence[Result]) -> list[str]:
    """A line for each metric under its family, no wider than a narrow terminal."""
    rows = [_HEAD, *map(_cells, deciding)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place in (0, 4) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    told = [lines[0], "-" * len(lines[0])]
    family = ""
    for result, line in zip(deciding, lines[1:], strict=True):
        if result.measurement.family != family:
            family = result.measurement.family
            told.append(family)
        told.append(line)
    return told


def _cells(result: Result) -> tuple[str, ...]:
    m = result.measurement
    lowest, highest = result.bounds
    bounds = [] if lowest is None else [f">= {_number(lowest)}"]
    bounds += [] if highest is None else [f"<= {_number(highest)}"]
    return (
        f"  {m.name}",
        _number(m.value),
        "" if m.interval is None else " to ".join(map(_number, m.interval)),
        _number(m.reference),
        ", ".join(bounds),
        "yes" if result.passed else "NO",
    )


def _allowed(result: Result) -> str:
    lowest, highest = result.bounds
    parts = [] if lowest is None else [f"at least {_precise(lowest)}"]
    parts += [] if highest is None else [f"at most {_precise(highest)}"]
    return " and ".join(parts)


def _precise(value: float | None) -> str:
    """So many digits that a value never looks like the bound that it misses."""
    return "-" if value is None else f"{value:.6g}"


def _number(value: float | None) -> str:
    """Three significant digits and four decimals at most; plain characters, as terminals differ."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 4) + 0.0:.3g}"
