"""How much sooner does a generator learn few images when it starts from a model of other ones?

A parent is trained on many images of one set. A child learns a few images of another set twice, with
the same settings, rows and noise: from random weights, and from the parent's (`train.init_from`).
Counted is what the second takes to reach the best validation loss of the first; judged are both ends,
by a classifier that is trained on images of theirs and tested on real ones that none has seen.

    python benchmarks/transfer.py                          digits -> mnist, mnist -> turned
    python benchmarks/transfer.py --pairs mnist:turned --generator vae --rows 200

`digits` are enlarged to 28 x 28 pixels, so that a network for them has the sizes of one for `mnist`.
`turned` is made of images of `mnist` that the parent has not seen: turned by 90 degrees, dark on
light, and with the labels a to j, so that nothing is known of them but what strokes are.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from harness.image_sets import SCHEMA, arrays, batch_of
from harness.tables import DATA
from PIL import Image
from sklearn.svm import SVC

from tasks.params import TrainParams
from tasks.seeding import rng_for
from tasks.training.loop import fit
from tasks.training.model import Fitted, generator_class
from tasks.training.transfer import Parent

PARENT_ROWS = 8_000
TEST_ROWS = 1_500
DRAWN_ROWS = 1_000

Images = tuple[np.ndarray, np.ndarray]
"""Pixels (N, H, W, C) uint8, and labels (N,)."""


@dataclass(frozen=True)
class Course:
    """A training, as it went.

    Attributes:
        losses: validation loss of the averaged weights by step.
        seconds: of the processor, by step; looking at the model is not counted.
        fitted: what came of it.
    """

    losses: dict[int, float]
    seconds: dict[int, float]
    fitted: Fitted

    def steps_to(self, loss: float) -> int | None:
        """Steps until the validation loss was so low; None: it never was."""
        return next((step for step, found in self.losses.items() if found <= loss), None)


def main(arguments: list[str]) -> int:
    """Train and print a table."""
    options = _options(arguments)
    print(f"{options.generator}, {options.rows} images, {options.threads} thread(s)\n")
    print("| | from scratch | transferred | ratio |\n|---|---|---|---|")
    for pair in options.pairs:
        before, after = pair.split(":")
        if "mnist" in pair and not (DATA / "mnist").exists():
            print(f"{pair}: skipped, there is no {DATA.name}/mnist beside the repository")
            continue
        parent_rows, child_rows, test = _parts(before, after, options.rows)
        epochs = max(1, round(options.parent_images / len(parent_rows[1])))
        parent = train(parent_rows, options, epochs=epochs)
        compare(pair, child_rows, test, parent.fitted, options)
    return 0


def compare(
    pair: str, rows: Images, test: Images, parent: Fitted, options: argparse.Namespace
) -> None:
    """Train a child both ways and print its lines of the table."""
    scratch = train(rows, options, epochs=options.epochs)
    transferred = train(rows, options, epochs=options.epochs, parent=parent)
    goal = min(scratch.losses.values())
    slow, fast = scratch.steps_to(goal), transferred.steps_to(goal)
    told = transferred.fitted.summary["parent"]
    print(
        f"| **{pair}**: weights taken over, new | | {told['taken_weights']},"
        f" {len(told['new_weights']) + len(told['weights_taken_by_label'])} | |"
    )
    losses = [min(course.losses.values()) for course in (scratch, transferred)]
    print(f"| best validation loss | {losses[0]:.4g} | {losses[1]:.4g} | |")
    if slow and fast:
        print(f"| steps to {goal:.4g} | {slow} | {fast} | {slow / fast:.1f} |")
        seconds = scratch.seconds[slow], transferred.seconds[fast]
        print(
            f"| CPU s to it | {seconds[0]:.0f} | {seconds[1]:.0f} | {seconds[0] / seconds[1]:.1f} |"
        )
    else:
        print(f"| steps to {goal:.4g} | {slow} | never | |")
    found = [accuracy(_drawn(c.fitted), test) for c in (scratch, transferred)]
    real = accuracy(rows, test)
    print(
        f"| accuracy of a classifier (of the {len(rows[1])} real images: {real:.3f}) |"
        f" {found[0]:.3f} | {found[1]:.3f} | |",
        flush=True,
    )


def train(
    rows: Images, options: argparse.Namespace, *, epochs: int, parent: Fitted | None = None
) -> Course:
    """One training, from random weights or from those of a parent."""
    cls = generator_class("image", options.generator)
    batch = batch_of(*rows)
    settings: dict[str, Any] = {"epochs": epochs, "patience": epochs, "threads": options.threads}
    if parent:
        settings["init_from"] = "parent"
    losses, seconds, began = {}, {}, time.process_time()

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if "validation_loss" in metrics:
            losses[step] = metrics["validation_loss"]
            seconds[step] = time.process_time() - began

    fitted = fit(
        cls,
        cls.Params(),
        SCHEMA,
        lambda: iter([batch]),
        TrainParams.model_validate({**settings, "device": "cpu"}),
        seed=options.seed,
        report=report,
        parent=_parent(parent) if parent else None,
    )
    print(
        f"{len(rows[1])} images, {epochs} epochs: {time.process_time() - began:.0f} CPU s",
        file=sys.stderr,
    )
    return Course(losses, seconds, fitted)


def accuracy(known: Images, test: Images) -> float:
    """Of a support vector machine that learns of `known` and is tested on `test`."""
    (pixels, labels), (tested, truth) = known, test
    model = SVC().fit(pixels.reshape(len(pixels), -1) / 255, labels)
    return float(model.score(tested.reshape(len(tested), -1) / 255, truth))


def _parent(fitted: Fitted) -> Parent:
    weights = fitted.generator.state_dict()
    return Parent("parent", "0" * 64, type(fitted.generator), fitted.encoder, weights)


def _drawn(fitted: Fitted) -> Images:
    """Synthetic images."""
    encoded = fitted.generator.sample(DRAWN_ROWS, torch.Generator().manual_seed(0))
    pixels = fitted.encoder.levels[encoded["pixels"].numpy().astype(np.int64)]
    labels = fitted.encoder.labels.decode(encoded["labels"]).to_pylist()
    return pixels.transpose(0, 2, 3, 1), np.array(labels)


def _parts(before: str, after: str, n_rows: int) -> tuple[Images, Images, Images]:
    """Images of the parent, of the child, and those that test it; none is in two of them."""
    order = rng_for(0, "transfer").permutation
    known = _set(before)
    first = order(len(known[1]))[:PARENT_ROWS]
    other = _set(after)
    rest = order(len(other[1]))
    if {before, after} <= {"mnist", "turned"}:
        rest = rest[PARENT_ROWS:]
    own, test = rest[:n_rows], rest[-TEST_ROWS:]
    return tuple((s[0][i], s[1][i]) for s, i in ((known, first), (other, own), (other, test)))


def _set(name: str) -> Images:
    if name == "digits":
        pixels, labels = arrays(name)
        large = [
            Image.fromarray(p[..., 0]).resize((28, 28), Image.Resampling.BICUBIC) for p in pixels
        ]
        return np.stack(large)[..., None], labels.astype(str)
    if name != "turned":
        pixels, labels = arrays(name)
        return pixels, labels.astype(str)
    pixels, labels = arrays("mnist")
    return 255 - np.rot90(pixels, axes=(1, 2)), np.array(list("abcdefghij"))[labels]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pairs", nargs="+", default=["digits:mnist", "mnist:turned"])
    parser.add_argument("--generator", default="ddpm")
    parser.add_argument("--rows", type=int, default=500, help="images of the child")
    parser.add_argument("--epochs", type=int, default=40, help="of the child")
    parser.add_argument("--parent-images", type=int, default=64_000, help="that it is shown")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
