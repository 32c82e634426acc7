"""How good are synthetic images for the time that each generator takes?

Every generator trains at its defaults on four fifths of the images, in a process of its own, and
draws as many. The last fifth, which none has seen, judges them, by the metrics that `proofmint
evaluate` reports, each beside what real images reach in place of synthetic ones.

    python benchmarks/images.py                             all generators, digits and mnist
    python benchmarks/images.py --generators ddpm vae --sets mnist --threads 2
    python benchmarks/images.py --sets my.npz --device cuda --picture docs/images

`digits` comes with scikit-learn; `mnist` is read from the folder of data beside the repository, and
left out where it is not there. What was measured is kept in .proofmint/benchmarks/images, by set,
generator, device and seed, and not measured again (`--fresh` does).
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from harness.image_sets import SETS, grid, prepared, read_facts
from harness.measured import measure
from harness.tables import DATA
from PIL import Image

from tasks.evaluation import base, comparison
from tasks.registry import names
from tasks.training.model import generator_class

METRICS = {
    "utility": "accuracy",
    "utility_worst_label": "worst label",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "label_coverage": "worst label's coverage",
    "frechet_distance": "Fréchet",
    "c2st_auc": "C2ST AUC",
    "dcr_share": "DCR share",
    "copied_images": "copies",
}
"""What is measured, and the heads of its columns; all at least 0, and of real images as shown."""

COSTS = {
    "fit_wall_seconds": "fit, wall s",
    "fit_cpu_seconds": "fit, CPU s",
    "sample_wall_seconds": "sample, wall s",
    "sample_cpu_seconds": "sample, CPU s",
    "epochs": "epochs",
    "parameters": "parameters",
}

_STAGE = Path(__file__).parent / "harness" / "image_stage.py"
_COLUMNS = 12
"""Images of each label in a picture."""

_PICTURE_WIDTH = 1_600
"""Pixels that a picture has at least half of."""


def main(arguments: list[str]) -> int:
    """Measure what is asked for and not known yet, and print it."""
    options = _options(arguments)
    for name in options.sets:
        if name == "mnist" and not (DATA / "mnist").exists():
            print(f"mnist: skipped, there is no {DATA.name}/mnist beside the repository")
            continue
        folder = prepared(name)
        found = {}
        for generator in options.generators:
            print(f"{name}: {generator}", file=sys.stderr)
            found[generator] = benchmark(folder, generator, options)
        print(f"\n## {name}, {options.device}, {options.threads} threads\n\n{_table(found)}")
        if options.picture:
            _save_picture(folder, options, Path(options.picture) / f"images_{folder.name}.png")
    return 0


def benchmark(folder: Path, generator: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a generator took and how good its images are; measured now as far as it is not known."""
    place = _place(folder, generator, options)
    if options.fresh:
        shutil.rmtree(place, ignore_errors=True)
    result = place / "result.json"
    if result.exists():
        known: dict[str, Any] = json.loads(result.read_text())
        return known
    chosen = base.choose("image", list(METRICS), ["fidelity", "utility", "diversity", "privacy"])
    place.mkdir(parents=True, exist_ok=True)
    synthetic, facts = place / "synthetic", place / "facts.json"
    if not facts.exists():
        shutil.rmtree(synthetic, ignore_errors=True)
        words = [generator, options.seed, options.device, options.threads]
        job = [folder / "split" / "train", synthetic, facts, *map(str, words)]
        usage = measure([sys.executable, _STAGE, *job], max_cpu_seconds=options.max_cpu_seconds)
        if usage.exit_status != 0:
            print(f"{generator} did not end well:\n{usage.output}", file=sys.stderr)
            return {}
    measured, _ = base.measure(chosen, comparison.load(folder / "split", synthetic, options.seed))
    found: dict[str, Any] = {m.name: [m.value, m.reference] for m in measured}
    found |= read_facts(facts)
    draft = result.with_suffix(".draft")
    draft.write_text(json.dumps(found, indent=1) + "\n")
    draft.replace(result)
    return found


def _table(found: dict[str, dict[str, Any]]) -> str:
    """As Markdown: a row for each generator, and one for real images."""
    heads = ["generator", *METRICS.values(), *COSTS.values()]
    lines = [heads, ["---"] * len(heads)]
    references = next((run for run in found.values() if run), {})
    real = [_number(references.get(name, [None, None])[1]) for name in METRICS]
    lines.append(["real images", *real, *[""] * len(COSTS)])
    for generator, run in found.items():
        values = [_number(run.get(name, [None])[0]) for name in METRICS]
        lines.append([generator, *values, *(_number(run.get(name)) for name in COSTS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def _save_picture(folder: Path, options: argparse.Namespace, path: Path) -> None:
    """Real images on the left, then those of each generator: a row for each label."""
    places = [folder / "split" / "train"]
    places += [_place(folder, name, options) / "synthetic" for name in options.generators]
    grids = [grid(place, _COLUMNS) for place in places if place.exists()]
    gap = np.full((len(grids[0]), 4, grids[0].shape[2]), 255, np.uint8)
    joined = np.concatenate([part for one in grids for part in (one, gap)][:-1], axis=1)
    factor = max(1, _PICTURE_WIDTH // joined.shape[1])
    joined = joined.repeat(factor, axis=0).repeat(factor, axis=1)
    image = Image.fromarray(joined[..., 0] if joined.shape[2] == 1 else joined)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
    print(f"\n{path}")


def _place(folder: Path, generator: str, options: argparse.Namespace) -> Path:
    return folder / f"{generator}-{options.device}-threads{options.threads}-seed{options.seed}"


def _options(arguments: list[str]) -> argparse.Namespace:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [
        name
        for name in names("tasks.generators.image")
        if generator_class("image", name).learns_in_steps
    ]
    add = parser.add_argument
    add("--generators", nargs="+", choices=known, default=known, help="default: all")
    add("--sets", nargs="+", default=list(SETS), help=f"{', '.join(SETS)} or .npz files")
    add("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="default: cpu")
    add("--threads", type=int, default=2, help="of the processor (default: 2)")
    add("--seed", type=int, default=0, help="default: 0")
    add("--max-cpu-seconds", type=int, help="processor time after which a generator is given up")
    add("--picture", help="folder for a picture of each set: real images, then each generator's")
    add("--fresh", action="store_true", help="measure again what is known")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
