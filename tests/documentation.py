"""The command blocks of the documentation, and the files that their examples name.

A block of ```bash is executed as it stands; one of ```console is a session, whose commands stand
behind `$ `. A second word says where a block belongs: ```bash compose needs a Docker engine
(`make compose-test`), ```bash kubernetes a cluster; those are only read here.
"""

import io
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.projects import REPOSITORY

_FENCE = re.compile(r"^```(bash|console)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One command block of a page."""

    page: str
    line: int
    script: str
    """What a person would type."""
    place: str | None
    """`compose`, `kubernetes`; None: any machine."""
    session: bool
    """Shown with its output; a command of it may fail, as it does in the text."""


def pages() -> list[Path]:
    """Every page with commands for its readers."""
    found = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    return found + sorted((REPOSITORY / "docs").glob("*.md"))


def blocks(page: Path) -> list[Block]:
    """The command blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page.relative_to(REPOSITORY).as_posix(),
            line=text.count("\n", 0, match.start()) + 1,
            script=match[3] if match[1] == "bash" else _typed(match[3]),
            place=match[2],
            session=match[1] == "console",
        )
        for match in _FENCE.finditer(text)
    ]


def _typed(session: str) -> str:
    """The commands of a session, with the lines that continue them."""
    commands, goes_on = [], False
    for line in session.splitlines():
        if line.startswith("$ ") or goes_on:
            commands.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(commands) + "\n"


def write_examples(folder: Path) -> None:
    """The files that examples name: made-up people, pictures and messages."""
    rng = np.random.default_rng(0)
    _people(folder / "patients.csv", rng, 300, "outcome", ("recovered", "died"))
    for name, n_rows in (("train", 600), ("holdout", 300), ("theirs", 600)):
        _people(folder / f"{name}.csv", rng, n_rows, "income", ("<=50K", ">50K"))
    for name in ("real", "copied"):
        (folder / f"{name}.csv").write_text((folder / "train.csv").read_text())
    _pictures(folder / "photos", rng)
    np.savez(folder / "digits.npz", x=_squares(rng, 80), y=np.arange(80) % 2)
    messages = [
        f"{label}\t{' '.join(rng.choice(words, 6))}"
        for label, words in _WORDS.items()
        for _ in range(60)
    ]
    (folder / "messages.tsv").write_text("\n".join(messages) + "\n")
    _pairs(folder / "pairs", rng)
    _shop(folder / "shop.sqlite", rng)


_WORDS = {
    "ham": ["see", "you", "at", "home", "tonight", "later", "for", "tea", "then", "soon"],
    "spam": ["win", "a", "free", "prize", "now", "call", "this", "number", "to", "claim"],
}


def _people(
    path: Path, rng: np.random.Generator, n_rows: int, target: str, values: tuple[str, str]
) -> None:
    age, weight = rng.integers(18, 90, n_rows), rng.normal(75, 12, n_rows).round(1)
    ward = rng.choice(["north", "south", "west"], n_rows)
    outcome = np.where(rng.random(n_rows) < 1 / (1 + np.exp((60 - age) / 8)), values[1], values[0])
    rows = zip(age, weight, ward, outcome, strict=True)
    lines = [f"age,weight,ward,{target}", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def _squares(rng: np.random.Generator, n_images: int) -> np.ndarray:
    """Grey images (n_images, 8, 8) uint8: a small square, a large one, and so on."""
    images = rng.integers(0, 40, (n_images, 8, 8)).astype(np.uint8)
    for i in range(n_images):
        side, place = (2, 6)[i % 2], rng.integers(0, 2)
        images[i, place : place + side, place : place + side] = 220
    return images


def _pictures(folder: Path, rng: np.random.Generator) -> None:
    for i, pixels in enumerate(_squares(rng, 80)):
        place = folder / ("small", "large")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.png")


def _pairs(folder: Path, rng: np.random.Generator) -> None:
    (folder / "images").mkdir(parents=True)
    lines = io.StringIO("file_name,caption,digit\n")
    lines.seek(0, io.SEEK_END)
    for i, pixels in enumerate(_squares(rng, 60)):
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        lines.write(f"images/{i}.png,{rng.choice(['see', 'here'])} {rng.choice(['a', 'the'])} ")
        lines.write(f"square,{i % 2}\n")
    (folder / "metadata.csv").write_text(lines.getvalue())


def _shop(path: Path, rng: np.random.Generator) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, FirstName TEXT NOT NULL,"
        " City TEXT, Country TEXT NOT NULL, Spent REAL)"
    )
    cities = {"Berlin": "Germany", "London": "United Kingdom", "Paris": "France"}
    rows = [
        (i, str(rng.choice(["Ada", "Grace", "Alan", "Edsger"])), city, cities[city], float(spent))
        for i, (city, spent) in enumerate(
            zip(rng.choice(list(cities), 120), rng.gamma(2, 20, 120).round(2), strict=True)
        )
    ]
    connection.executemany("INSERT INTO Customer VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
