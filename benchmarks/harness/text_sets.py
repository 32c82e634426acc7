"""The real texts of `benchmarks/text.py`, and what a classifier learns from synthetic ones."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness.systems import HOME
from harness.tables import DATA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tasks.seeding import rng_for
from tasks.storage import new_folder, read_batches, write_dataset

HOLDOUT_FRACTION = 0.2

SMS = DATA / "sms_spam" / "SMSSpamCollection"

SCHEMA = DatasetSchema(
    kind="text",
    tables=(
        TableSchema(
            name="texts",
            columns=(
                Column(name="text", type="string", meaning="text", nullable=False),
                Column(name="label", type="string", meaning="categorical", nullable=False),
            ),
        ),
    ),
    target="label",
)

CLASSIFIERS = {
    "logistic regression": lambda: LogisticRegression(C=10, max_iter=1_000),
    "linear SVM": LinearSVC,
    "naive Bayes": lambda: MultinomialNB(alpha=0.1),
}


def prepared(name: str) -> Path:
    """The folder of a set; `split/train` and `split/holdout` are datasets in it.

    Args:
        name: `sms_spam`, or a file of lines: a label, a tab and a text.
    """
    folder = HOME / "texts" / Path(name).stem
    split = folder / "split"
    if not split.exists():
        source = SMS if name == "sms_spam" else Path(name)
        with source.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
        order = rng_for(0, "benchmark", name).permutation(len(rows))
        n_holdout = round(HOLDOUT_FRACTION * len(order))
        with new_folder(split) as draft:
            for part, chosen in (("train", order[n_holdout:]), ("holdout", order[:n_holdout])):
                (draft / part).mkdir()
                write_dataset(draft / part, SCHEMA, {"texts": [_batch([rows[i] for i in chosen])]})
    return folder


def utility(train: Path, holdout: Path, synthetic: Path) -> dict[str, float]:
    """F1 of the rarest label on the holdout, by classifier and what it learned from.

    Of words weighted by how few texts have them (TF-IDF). Keys: `f1 <classifier>`, and after it
    ` real`, of one that learned from the training texts.
    """
    tested, labels = read(holdout)
    known = read(train)
    values, counts = np.unique(known[1], return_counts=True)
    rarest = values[counts.argmin()]
    found = {}
    for name, make in CLASSIFIERS.items():
        for suffix, (texts, told) in (("", read(synthetic)), (" real", known)):
            model = make_pipeline(TfidfVectorizer(sublinear_tf=True), make()).fit(texts, told)
            score = f1_score(labels == rarest, model.predict(tested) == rarest)
            found[f"f1 {name}{suffix}"] = float(score)
    return found


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    """Texts and labels of a dataset."""
    rows = pa.Table.from_batches(read_batches(folder, "texts"))
    return rows.column("text").to_pylist(), np.array(rows.column("label").to_pylist())


def _batch(rows: Sequence[Sequence[str]]) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows]) for i in (1, 0)]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(SCHEMA.main))
