"""Real, holdout and synthetic images or texts, stored as the datasets that metrics compare."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from tasks.commands import text_form
from tasks.commands.examples import Labelled
from tasks.commands.labelled_images import LabelledImages, read_images
from tasks.commands.labelled_texts import LabelledTexts
from tasks.commands.readers import encoding_of
from tasks.commands.three_files import FOLDERS, MIN_ROWS, Part, Stored
from tasks.errors import DataError, ParamsError
from tasks.schema import Kind


def store_labelled(
    kind: Kind, files: Mapping[Part, Path], folder: Path, *, target: str | None, encoding: str
) -> Stored:
    """Read three sets of labelled images or texts and store them under `folder`.

    They may be of different forms: a folder beside an .npz file, a CSV file beside a TSV file.

    Args:
        kind: image or text.
        files: of that kind.
        folder: exists.
        target: None, or the label.
        encoding: of texts that are neither UTF-8 nor begin with a byte order mark.

    Raises:
        SourceError: one of them cannot be read.
        DataError: there are fewer than MIN_ROWS rows, they differ in size, mode or labels, or a real
            text is empty.
        ParamsError: `target` is another column than the label.
    """
    if kind == "image":
        read: dict[Part, Labelled] = {
            part: read_images(path, folder / FOLDERS[part]) for part, path in files.items()
        }
    else:
        read = _texts(files, folder, encoding)
    real = read["real"]
    if target not in (None, real.schema.target):
        raise ParamsError(
            f"--target {target!r}: {kind}s have their label as the target; leave --target out"
        )
    for part, examples in read.items():
        if examples.n_rows < MIN_ROWS:
            raise DataError(
                f"expected at least {MIN_ROWS} {kind}s in {files[part]}, found {examples.n_rows}: so"
                " few tell nothing"
            )
    notes = _compare_labels(read, files)
    if isinstance(real, LabelledImages):
        _compare_sizes(read, files)
    n_rows = {part: examples.n_rows for part, examples in read.items()}
    notes += [note for examples in read.values() for note in examples.notes]
    return Stored(
        folder / "split", folder / FOLDERS["synthetic"], real.schema, n_rows, tuple(notes)
    )


def _texts(files: Mapping[Part, Path], folder: Path, encoding: str) -> dict[Part, Labelled]:
    real = text_form.told_to_be(files["real"], encoding_of(files["real"], encoding))
    called = (text_form.TEXT, text_form.LABEL)
    read: dict[Part, Labelled] = {}
    for part, path in files.items():
        form = text_form.told_to_be(path, encoding_of(path, encoding), like=real)
        # A generator that writes empty texts shall have its faults measured, not refused.
        may_be_empty = part == "synthetic"
        place = folder / FOLDERS[part]
        read[part] = LabelledTexts(path, form, place, called, may_be_empty=may_be_empty)
    return read


def _compare_labels(read: Mapping[Part, Labelled], files: Mapping[Part, Path]) -> list[str]:
    """Refuse labels that real rows do not have; say which real labels are not in the synthetic rows."""
    labelled = {part: examples.schema.target is not None for part, examples in read.items()}
    if len(set(labelled.values())) > 1:
        found = ", ".join(
            f"{files[p]} {'has' if has else 'has none'}" for p, has in labelled.items()
        )
        raise DataError(f"expected labels in all three or in none of them, found: {found}")
    if not labelled["real"]:
        return []
    labels = {part: _labels(examples) for part, examples in read.items()}
    known = labels["real"].keys() | labels["holdout"].keys()
    if unknown := sorted(labels["synthetic"].keys() - known):
        raise DataError(
            f"expected labels of {files['real']} in {files['synthetic']}: {_listed(labels['real'])};"
            f" found also {_listed(unknown)}, which no real row has"
        )
    if not labels["real"].keys() & labels["holdout"].keys():
        raise DataError(
            f"{files['real']} and {files['holdout']} have no label in common: expected"
            f" {_listed(labels['real'])}, found {_listed(labels['holdout'])}"
        )
    return [
        f"{files[part]}: none of its rows has the label(s) {_listed(missing)} of {files['real']}"
        for part in ("holdout", "synthetic")
        if (missing := sorted(labels["real"].keys() - labels[part].keys()))
    ]


def _labels(examples: Labelled) -> Counter[str]:
    target = str(examples.schema.target)
    found: Counter[str] = Counter()
    for batch in examples.rows([target]):
        found.update(batch.column(0).cast(pa.string()).to_pylist())
    return found


def _listed(labels: Mapping[str, int] | list[str], n_most: int = 20) -> str:
    found = sorted(labels)
    more = f" and {len(found) - n_most} more" if len(found) > n_most else ""
    return ", ".join(map(repr, found[:n_most])) + more


def _compare_sizes(read: Mapping[Part, Labelled], files: Mapping[Part, Path]) -> None:
    forms = {p: e.form for p, e in read.items() if isinstance(e, LabelledImages)}
    for part, form in forms.items():
        if form != forms["real"]:
            raise DataError(
                f"expected images of {forms['real']} in {files[part]} as in {files['real']}, found"
                f" {form}; make them alike"
            )
