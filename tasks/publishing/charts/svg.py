"""The elements that all pictures are made of."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

CHARACTER = 6.6
"""Width of an average character of 12 px, to know what fits."""


def svg(
    parts: Sequence[str], width: float, height: float, title: str, kind: str = "chart"
) -> Markup:
    """A picture of finished elements; `title` is what a screen reader says."""
    # Every text in `parts` went through `escape`; the rest is ours.
    return Markup(  # noqa: S704
        f'<svg class="{kind}" viewBox="0 0 {n(width)} {n(height)}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    """A bar."""
    return (
        f'<rect class="{kind}" x="{n(x)}" y="{n(y)}" width="{n(max(width, 0))}"'
        f' height="{n(height)}" rx="1.5"/>'
    )


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line."""
    return f'<path class="{kind}" d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}"/>'


def mark(kind: str, x: float, y: float) -> str:
    """A point of a series, told apart by its form: tick, ring, diamond or dot."""
    if kind == "real":
        return line("mark-real", x, y - 7, x, y + 7)
    if kind == "holdout":
        return f'<circle class="mark-holdout" cx="{n(x)}" cy="{n(y)}" r="4"/>'
    if kind == "baseline":
        return f'<path class="mark-baseline" d="M{n(x - 4)} {n(y)}l4 -4l4 4l-4 4z"/>'
    return f'<circle class="mark-synthetic" cx="{n(x)}" cy="{n(y)}" r="4.5"/>'


def text(kind: str, x: float, y: float, content: str, anchor: str, *, title: str = "") -> str:
    """A text; `title` is what it shows in full, if it was shortened."""
    hint = f"<title>{escape(title)}</title>" if title and title != content else ""
    return (
        f'<text class="{kind}" x="{n(x)}" y="{n(y)}" text-anchor="{anchor}">'
        f"{escape(content)}{hint}</text>"
    )


def short(content: str, length: int) -> str:
    """`content`, cut to so many characters."""
    return content if len(content) <= length else content[: length - 1] + "…"


def n(value: float) -> str:
    """A coordinate with one decimal at most."""
    if not math.isfinite(value):
        raise ValueError(f"a coordinate must be finite, found {value!r}")
    return f"{value:.1f}".removesuffix(".0")


def percent(share: float) -> str:
    """A share as people read it: two digits, never 0 % of something."""
    value = 100 * share
    if value == 0 or abs(value) >= 99.95:
        return f"{value:.0f} %"
    return f"{value:.0f} %" if abs(value) >= 10 else f"{value:.2g} %"
