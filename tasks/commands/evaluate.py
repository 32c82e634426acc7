"""`proofmint evaluate --real A --holdout B --synthetic C`: the proof of any data, whoever made it.

No git, no DVC, no params.yaml: three tables, sets of images or of texts in; `metrics.json`, `plots.json` and `report.html` out,
as the stages `evaluate` and `audit` and a release have them. The metrics judge by their own
thresholds. The rows go through a temporary folder, so a table may be larger than the memory.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from tasks.commands import scorecard
from tasks.commands.kinds import kind_of
from tasks.commands.readers import encoding_of
from tasks.commands.three_files import Part, Stored, store
from tasks.commands.three_sets import store_labelled
from tasks.errors import DataError, GateRefused, ParamsError, ProofmintError, WorkspaceError
from tasks.metrics import METRICS_FILE, judged, read_measurements, write_measurements
from tasks.schema import Kind
from tasks.sources.formats.parquet import Parquet
from tasks.storage import digest, new_folder, read_batches

if TYPE_CHECKING:
    from tasks.evaluation.comparison import Comparison

PLOTS_FILE = "plots.json"
REPORT_FILE = "report.html"

WHY_A_HOLDOUT = (
    "real rows that the generator never saw. What they reach is what every metric is held against:"
    " without them nobody can tell a copy from a row that is alike by chance. Set some of the real"
    " rows aside (a fifth, say) before the generator is trained, and train it without them"
)

OVERLAP = 0.5
"""Share of the holdout, beyond what repeats by itself, from which it is no holdout."""


def evaluate(
    real: Path,
    holdout: Path,
    synthetic: Path,
    out: Path,
    *,
    kind: Kind | None = None,
    target: str | None,
    seed: int = 0,
    encoding: str = "utf-8",
    gate: bool = False,
) -> int:
    """Measure everything about synthetic data, and say whether it is good enough.

    Args:
        real: the rows that the generator may have seen; for its form see `tasks.commands.kinds`.
        holdout: real rows that it never saw.
        synthetic: what it made.
        out: folder for the result, written whole or not at all; an earlier result is replaced.
        kind: of all three; None: told by their form.
        target: column of a table that a model would predict; images and texts have their label.
        seed: of all randomness; the same files and seed give the same result.
        encoding: of delimited text that is neither UTF-8 nor begins with a byte order mark.
        gate: whether to fail where the thresholds are not met.

    Raises:
        GateRefused: `gate` is set and a threshold is not met; the result is written all the same.
        ParamsError: an argument is impossible.
        SourceError: a file is no table.
        DataError: the files cannot be compared.
        WorkspaceError: the result cannot be written.
    """
    files: dict[Part, Path] = {"real": real, "holdout": holdout, "synthetic": synthetic}
    if not 0 <= seed < 2**63:
        raise ParamsError(f"expected --seed from 0 to 2^63 - 1, found {seed}")
    _check_out(out, files)
    kind = _common_kind(files, kind, encoding)
    _check_holdout_file(real, holdout)
    with tempfile.TemporaryDirectory(prefix="proofmint-") as folder:
        if kind == "tabular":
            stored = store(files, Path(folder), target=target, encoding=encoding)
        else:
            stored = store_labelled(kind, files, Path(folder), target=target, encoding=encoding)
        for note in stored.notes:
            print(f"note: {note}", file=sys.stderr)
        data, measurements, plots = _measured(stored, files, seed)
        results = judged(measurements, {})
        verdict = scorecard.verdict(results)
        title = f"{synthetic.name} beside {real.name} and {holdout.name}"
        page = _page(stored, files, data, results=results, plots=plots, verdict=verdict)
        with new_folder(out) as draft:
            write_measurements(draft, measurements, plots=plots)
            (draft / REPORT_FILE).write_text(page, encoding="utf-8")
    print(scorecard.table(title, stored.n_rows, stored.schema, results, verdict))
    print(f"\n{out / REPORT_FILE}: the same in pictures, for a browser")
    print(f"{out / METRICS_FILE}, {out / PLOTS_FILE}: all numbers", flush=True)
    if gate and not verdict["passed"]:
        reasons = scorecard.reasons(results)
        raise GateRefused("\n".join([f"{synthetic} is refused:", *(f"  {r}" for r in reasons)]))
    return 0


def _measured(
    stored: Stored, files: Mapping[Part, Path], seed: int
) -> tuple["Comparison", list[Any], dict[str, Any]]:
    from tasks.evaluation import base, comparison

    data = comparison.load(stored.split, stored.synthetic, seed)
    _check_overlap(data, files)
    _check_variety(data, files)
    metrics = list(base.metrics_of(stored.schema.kind).values())
    with tqdm(total=len(metrics), unit="metric", leave=False, disable=None) as bar:

        def show(name: str, place: int, total: int) -> None:
            bar.set_description(f"measuring {name}", refresh=False)
            bar.update(place - bar.n)
            if bar.disable:
                print(f"measuring {place + 1} of {total}: {name}", file=sys.stderr, flush=True)

        return data, *base.measure(metrics, data, show)


def _page(
    stored: Stored,
    files: Mapping[Part, Path],
    data: "Comparison",
    *,
    results: Sequence[Any],
    plots: Mapping[str, Any],
    verdict: Mapping[str, Any],
) -> str:
    from tasks.publishing.page import page_of_files
    from tasks.publishing.report import report

    n_rows = stored.n_rows
    first = next(read_batches(stored.synthetic, stored.schema.main.name))
    page = page_of_files(
        title=files["synthetic"].name,
        description=(
            f"Compared with {files['real'].name} (training) and {files['holdout'].name} (holdout)."
        ),
        schema=stored.schema,
        n_rows={
            "train": n_rows["real"],
            "holdout": n_rows["holdout"],
            "synthetic": n_rows["synthetic"],
        },
        results=results,
        plots=plots,
        verdict=verdict,
        synthetic=pa.Table.from_batches([first.slice(0, 100)]),
        **(_images(data) if data.kind == "image" else {}),
    )
    return report(page)


def _images(data: "Comparison") -> dict[str, Any]:
    """Real and synthetic images for the page, which stays with whoever has the real ones."""
    from tasks.evaluation.exhibits import by_label, closest_images
    from tasks.evaluation.features.images import content_of
    from tasks.publishing.samples import BesideRow, ClosestImage, data_uri

    closest = closest_images(data)
    made, real = (content_of(rows) for rows in (data.synthetic, data.train))
    return {
        "beside": [
            BesideRow(one.label, *(tuple(map(data_uri, s)) for s in (one.real, one.synthetic)))
            for one in by_label(data)
        ],
        "closest": [
            ClosestImage(data_uri(made[place]), data_uri(real[other]), float(distance))
            for place, other, distance in zip(
                closest.synthetic, closest.train, closest.distances, strict=True
            )
        ],
    }


# --- what cannot end well is refused before time is spent ------------------------------------------


def _check_out(out: Path, files: Mapping[Part, Path]) -> None:
    """Refuse a place that cannot be written, or where something else stands."""
    if out.exists() and not out.is_dir():
        raise WorkspaceError(f"expected --out to name a folder, found the file {out}")
    if out.is_dir() and not _is_ours(out):
        raise WorkspaceError(
            f"{out} holds something else than an evaluation, which would be replaced;"
            " name a new folder by --out"
        )
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise WorkspaceError(f"cannot write into {parent}; name another folder by --out")
    if any(path.absolute().is_relative_to(out.absolute()) for path in files.values()):
        raise WorkspaceError(f"a file to read lies in {out}; name another folder by --out")


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or what an evaluation has left."""
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    if METRICS_FILE not in names or not names <= {METRICS_FILE, PLOTS_FILE, REPORT_FILE}:
        return False
    try:
        read_measurements(folder)
    except (ProofmintError, ValueError):
        return False
    return True


def _common_kind(files: Mapping[Part, Path], given: Kind | None, encoding: str) -> Kind:
    """The one kind of all files."""
    kinds = {
        part: kind_of(path, given, encoding_of(path, encoding)) for part, path in files.items()
    }
    real = kinds["real"]
    if real == "tabular" and "image" not in kinds.values():
        return real  # texts with labels are a table too
    for part, kind in kinds.items():
        if kind == real:
            continue
        if (
            real == "text"
            and kind == "tabular"
            and files[part].suffix.lower() not in Parquet.suffixes
        ):
            continue  # few rows may not look like texts; reading tells
        raise ParamsError(
            f"expected three sets of one kind, found --real {files['real']} ({real}) and --{part}"
            f" {files[part]} ({kind}); say --kind where the form misleads"
        )
    return real


def _check_holdout_file(real: Path, holdout: Path) -> None:
    alike = real.is_dir() or real.stat().st_size == holdout.stat().st_size
    if real.samefile(holdout) or (alike and digest(real) == digest(holdout)):
        raise ParamsError(
            f"--real {real} and --holdout {holdout} hold the same bytes. --holdout names"
            f" {WHY_A_HOLDOUT}"
        )


def _check_overlap(data: "Comparison", files: Mapping[Part, Path]) -> None:
    """Refuse a holdout that was taken from the real rows: it would excuse every copy."""
    train = data.every["train"].identities
    share = float(np.isin(data.holdout.identities, train).mean())
    _, counts = np.unique(train, return_counts=True)
    repeated = float(counts[counts > 1].sum() / len(train))
    if share - repeated > OVERLAP:
        raise DataError(
            f"{share:.0%} of the rows of {files['holdout']} are in {files['real']} too, where"
            f" {repeated:.0%} of the rows repeat. --holdout names {WHY_A_HOLDOUT}"
        )


def _check_variety(data: "Comparison", files: Mapping[Part, Path]) -> None:
    """Refuse real rows that are all alike: any data would pass, as nothing can be told of it."""
    known = data.every["train"].identities
    if (known == known[0]).all():
        raise DataError(
            f"expected rows that differ in {files['real']}, found one value, or none, in every"
            " column that is compared"
        )
