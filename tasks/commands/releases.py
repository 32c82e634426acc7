"""`proofmint releases`: every version of every dataset of this project."""

from collections.abc import Sequence
from pathlib import Path

from tasks import versions


def releases(project: Path) -> int:
    """Print the versions, newest first, as the tags tell them."""
    rows = [
        (
            v.dataset,
            v.name,
            v.created_at[:10],
            f"{v.rows:,}",
            "WITHDRAWN" if v.withdrawn else v.verdict,
            v.digest[:12],
            v.commit[:12],
        )
        for dataset in versions.datasets(project)
        for v in reversed(versions.versions(project, dataset))
    ]
    if not rows:
        print("no releases yet; make one with `proofmint run NAME`")
        return 0
    print_table(("dataset", "version", "date", "rows", "verdict", "digest", "commit"), rows)
    return 0


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = tuple("-" * width for width in widths)
    for row in (head, rule, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
