"""What do changed copies of few rows give a classifier, beside plain copies of them?

Few real rows are drawn, rows are added to them as `balance` adds them, a classifier learns them, and
real rows that were not drawn judge it. Every figure is the mean of some draws, with the standard
deviation between them.

    mnist     500 images, each digit brought to ten times as many; accuracy of a perceptron
    sms_spam  400 texts, as much spam as ham; F1 of spam, logistic regression on words and pairs
    adult     1,000 rows, both incomes equal; balanced accuracy of boosted trees

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --draws 10 sms_spam
"""

import argparse
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
from harness import image_sets, text_sets
from harness.tables import DATA
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tasks.augmentation.rows import RowAugmenter
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tasks.splits.balancing import oversample
from tasks.splits.classes import classes_of

Judge = Callable[[pa.Table, pa.Table], float]
"""Learns the first rows; how well it does on the second ones."""


@dataclass(frozen=True)
class Task:
    """A set of real rows and what is asked of a classifier of them.

    Attributes:
        rows: all of them.
        schema: describes them.
        n_few: rows to learn from.
        n_judging: rows to judge by.
        times: rows of each class wanted, as a multiple of the largest one's.
        judge: see `Judge`.
    """

    rows: pa.Table
    schema: DatasetSchema
    n_few: int
    n_judging: int
    times: int
    judge: Judge


def mnist() -> Task:
    """Images."""
    batch = image_sets.batch_of(*image_sets.arrays("mnist"))

    def pixels(rows: pa.Table) -> np.ndarray:
        files = (io.BytesIO(image["bytes"]) for image in rows["image"].to_pylist())
        return np.stack([np.asarray(Image.open(file)).ravel() for file in files]) / 255

    def judge(few: pa.Table, others: pa.Table) -> float:
        model = MLPClassifier((128,), max_iter=60, random_state=0)
        model.fit(pixels(few), few["label"].to_pylist())
        return float(model.score(pixels(others), others["label"].to_pylist()))

    return Task(pa.Table.from_batches([batch]), image_sets.SCHEMA, 500, 3_000, 10, judge)


def sms_spam() -> Task:
    """Texts."""
    lines = text_sets.SMS.read_text(encoding="utf-8").splitlines()
    labels, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
    rows = pa.table([pa.array(texts), pa.array(labels)], arrow_schema(text_sets.SCHEMA.main))

    def judge(few: pa.Table, others: pa.Table) -> float:
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
        model = make_pipeline(words, LogisticRegression(C=10, max_iter=1_000))
        model.fit(few["text"].to_pylist(), few["label"].to_pylist())
        found = model.predict(others["text"].to_pylist())
        return float(f1_score(others["label"].to_pylist(), found, pos_label="spam"))

    return Task(rows, text_sets.SCHEMA, 400, 3_000, 1, judge)


def adult() -> Task:
    """Rows of a table."""
    rows = pyarrow.csv.read_csv(DATA / "adult" / "train.csv")
    numbers = [f.name for f in rows.schema if pa.types.is_integer(f.type)]
    columns = tuple(
        Column(
            name=f.name, type=str(f.type), meaning="numeric" if f.name in numbers else "categorical"
        )
        for f in rows.schema
    )
    table = TableSchema(name="adult", columns=columns)
    schema = DatasetSchema(kind="tabular", tables=(table,), target="income")
    categories = [n for n in rows.column_names if n not in (*numbers, "income")]

    def judge(few: pa.Table, others: pa.Table) -> float:
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        design = make_column_transformer((one_hot, categories), remainder="passthrough")
        model = make_pipeline(design, HistGradientBoostingClassifier(max_iter=60, random_state=0))
        model.fit(few.drop_columns("income").to_pandas(), few["income"].to_pylist())
        found = model.predict(others.drop_columns("income").to_pandas())
        return float(balanced_accuracy_score(others["income"].to_pylist(), found))

    return Task(rows, schema, 1_000, 10_000, 1, judge)


def scores(task: Task, seed: int) -> dict[str, float]:
    """Of the real rows alone, with copies, and with changed copies."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(task.rows.num_rows)
    few = task.rows.take(pa.array(order[: task.n_few])).combine_chunks()
    others = task.rows.take(pa.array(order[task.n_few : task.n_few + task.n_judging]))
    target = str(task.schema.target)
    classes = classes_of(few[target])
    sizes = np.bincount(classes)
    repeats = oversample(classes, np.full_like(sizes, task.times * sizes.max()), rng)
    copies = few.take(pa.array(np.repeat(np.arange(few.num_rows), repeats)))
    augmenter = RowAugmenter(few, task.schema, classes, {}, seed=seed, where="balance.augment")
    changed = pa.Table.from_batches(augmenter.rows(repeats), few.schema)
    return {
        "real": task.judge(few, others),
        "oversample": task.judge(pa.concat_tables([few, copies]), others),
        "augment": task.judge(pa.concat_tables([few, changed]), others),
    }


TASKS = {"mnist": mnist, "sms_spam": sms_spam, "adult": adult}


def main() -> None:
    """Print a line for each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(TASKS)}; default: all")
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    # So many epochs are meant, whether or not the loss still falls.
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in given.sets or TASKS:
        started, task = time.process_time(), TASKS[name]()
        found = [scores(task, seed) for seed in range(given.draws)]
        cells = [
            f"{method} {np.mean(values):.3f} +- {np.std(values):.3f}"
            for method in found[0]
            if (values := [each[method] for each in found])
        ]
        seconds = time.process_time() - started
        print(f"{name:10} {'   '.join(cells)}   ({seconds:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main()
