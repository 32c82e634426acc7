"""`proofmint synthesize` and `evaluate` of images and labelled texts, as a user runs them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tasks.cli import main
from tasks.errors import DataError, ParamsError, ProofmintError, SourceError, WorkspaceError
from tasks.evaluation.base import metrics_of
from tasks.metrics import read_measurements

DIGITS = load_digits()
PIXELS = (DIGITS.images * 15.9375).astype(np.uint8)
QUICK = ["--epochs", "1", "--generator", "vae"]


def _arrays(path: Path, rows: slice) -> Path:
    np.savez(path, x=PIXELS[rows], y=DIGITS.target[rows])
    return path


def _folder(path: Path, rows: slice) -> Path:
    for i, (pixels, label) in enumerate(zip(PIXELS[rows], DIGITS.target[rows], strict=True)):
        (path / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path / str(label) / f"{i}.png")
    return path


def _texts(path: Path, n: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    words = {"ham": ["see", "you", "at", "home", "soon"], "spam": ["win", "free", "cash", "now"]}
    labels = rng.choice(list(words), n)
    rows = (
        f"{label}\t{' '.join(rng.choice(words[label], 7))} {i}\n" for i, label in enumerate(labels)
    )
    path.write_text("".join(rows), encoding="utf-8")
    return path


def _run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_folder_becomes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _folder(tmp_path / "in", slice(0, 60))
    assert _run("synthesize", source, tmp_path / "out", "--rows", 15, *QUICK) == 0
    images = list((tmp_path / "out").rglob("*.png"))
    assert len(images) == 15
    assert {path.parent.name for path in images} <= {str(label) for label in range(10)}
    for path in images:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((8, 8), "L")
    told = capsys.readouterr().err
    assert "out: 15 synthetic images of 8 x 8 pixels in grey with their labels" in told
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_arrays_become_arrays_and_the_same_ones_again(tmp_path: Path) -> None:
    source = _arrays(tmp_path / "in.npz", slice(0, 60))
    for name in ("one.npz", "two.npz"):
        options = ["--rows", 12, "--condition", "label=3", *QUICK]
        assert _run("synthesize", source, tmp_path / name, *options) == 0
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz") as made:
        assert (made["x"].shape, made["x"].dtype) == ((12, 8, 8), np.uint8)
        assert (made["y"].tolist(), made["y"].dtype) == ([3] * 12, DIGITS.target.dtype)


def test_rare_labels_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.where(np.arange(60) < 3, 7, DIGITS.target[:60] % 2)
    np.savez(tmp_path / "in.npz", x=PIXELS[:60], y=labels)
    assert _run("synthesize", tmp_path / "in.npz", tmp_path / "out.npz", *QUICK) == 0
    assert "labels of fewer than 5 rows were left out: 7" in capsys.readouterr().err
    with np.load(tmp_path / "out.npz") as made:
        assert set(made["y"].tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--condition", "label=10"], ParamsError, "expected one of the labels '0', '1'"),
        (["--condition", "x=1"], ParamsError, "one of the columns label, found 'x=1'"),
        (["--target", "x"], ParamsError, "holds images, whose target is their label"),
        (["--encoding", "latin-1"], ParamsError, "images have none"),
        (["--kind", "text"], ParamsError, "which holds images"),
        (["--generator", "ctgan"], ParamsError, "has no 'ctgan'; choose one of: "),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str],
    error: type[ProofmintError],
    message: str,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = _arrays(tmp_path / "in.npz", slice(0, 60))
    assert _run("synthesize", source, tmp_path / "out.npz", *options) == error.exit_code
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_too_few_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _arrays(tmp_path / "in.npz", slice(0, 3))
    assert _run("synthesize", source, tmp_path / "out.npz") == DataError.exit_code
    assert "expected at least 20 rows" in capsys.readouterr().err
    folder = _folder(tmp_path / "in", slice(0, 30))
    assert _run("synthesize", folder, folder) == WorkspaceError.exit_code


def _evaluate(tmp_path: Path, files: dict[str, Path], *more: str) -> int:
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    return _run("evaluate", *options, "--out", tmp_path / "out", *more)


def _three(tmp_path: Path, **other: Any) -> dict[str, Path]:
    return {
        "real": _folder(tmp_path / "real", slice(0, 100)),
        "holdout": _arrays(tmp_path / "holdout.npz", slice(100, 200)),
        "synthetic": _arrays(tmp_path / "synthetic.npz", slice(200, 300)),
    } | other


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "text"])
def test_fresh_real_rows_are_measured_by_the_metrics_of_their_kind(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "image":
        files = _three(tmp_path)
    else:
        names = ("real", "holdout", "synthetic")
        files = {name: _texts(tmp_path / f"{name}.tsv", 150, i) for i, name in enumerate(names)}
    assert _evaluate(tmp_path, files) == 0
    found = read_measurements(tmp_path / "out")
    assert [m.name for m in found] == list(metrics_of(kind))
    assert f"synthetic {kind}s, " in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def _larger(path: Path) -> Path:
    np.savez(path, x=PIXELS[:50].repeat(2, axis=1), y=DIGITS.target[:50])
    return path


def _relabelled(path: Path) -> Path:
    np.savez(path, x=PIXELS[:50], y=DIGITS.target[:50] + 5)
    return path


def _unlabelled(path: Path) -> Path:
    np.savez(path, x=PIXELS[200:250])
    return path


@pytest.mark.parametrize(
    ("part", "make", "error", "message"),
    [
        ("synthetic", _larger, DataError, "expected images of 8 x 8 pixels in grey in "),
        ("synthetic", _relabelled, DataError, "found also '10', '11', '12', '13', '14'"),
        ("holdout", _unlabelled, DataError, "in all three or in none of them"),
        ("synthetic", lambda p: _arrays(p, slice(0, 5)), DataError, "at least 20 images"),
        ("holdout", lambda p: p, SourceError, "expected a file or folder at"),
        ("synthetic", lambda p: _texts(p, 60, 0), ParamsError, "three sets of one kind"),
    ],
    ids=["size", "labels", "no labels", "few", "missing", "kind"],
)
def test_what_cannot_be_compared_is_refused(
    part: str,
    make: Any,
    error: type[ProofmintError],
    message: str,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / ("other.tsv" if "kind" in message else "other.npz")
    assert _evaluate(tmp_path, _three(tmp_path, **{part: make(path)})) == error.exit_code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_holdout_that_is_the_real_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = _folder(tmp_path / "same", slice(0, 100))
    files = _three(tmp_path, holdout=same)
    assert _evaluate(tmp_path, files) == ParamsError.exit_code
    assert "hold the same bytes" in capsys.readouterr().err
