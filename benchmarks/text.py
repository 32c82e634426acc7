"""How good are synthetic texts for the time that each generator takes?

Every generator trains at its defaults on four fifths of the texts, in a process of its own, and
draws as many. The last fifth, which none has seen, judges them: by classifiers that learned from
synthetic or from real texts, and by the metrics that `proofmint evaluate` reports, each beside what
real texts reach in place of synthetic ones.

    python benchmarks/text.py                                 all generators, sms_spam
    python benchmarks/text.py --generators transformer --threads 2 --samples 5
    python benchmarks/text.py --sets my.tsv                   lines of a label, a tab and a text

`sms_spam` is read from the folder of data beside the repository, and left out where it is not there.
What was measured is kept in .proofmint/benchmarks/texts, by set, generator, device and seed, and
not measured again (`--fresh` does).
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from harness.measured import measure
from harness.text_sets import CLASSIFIERS, SMS, prepared, read, utility

from tasks.evaluation import base, comparison
from tasks.registry import names
from tasks.training.model import generator_class

METRICS = {
    "bits_per_byte": "bits a byte",
    "reverse_bits_per_byte": "reverse bits a byte",
    "word_error": "word error",
    "word_pair_error": "pair error",
    "text_length_error": "length error",
    "unknown_words": "unknown words",
    "copied_spans": "copied spans",
    "longest_copied_span": "longest copy",
    "exact_copies": "exact copies",
}
"""What is measured, and the heads of its columns."""

COSTS = {
    "fit_wall_seconds": "fit, wall s",
    "fit_cpu_seconds": "fit, CPU s",
    "sample_wall_seconds": "sample, wall s",
    "sample_cpu_seconds": "sample, CPU s",
    "epochs": "epochs",
    "parameters": "parameters",
}

_STAGE = Path(__file__).parent / "harness" / "image_stage.py"


def main(arguments: list[str]) -> int:
    """Measure what is asked for and not known yet, and print it."""
    options = _options(arguments)
    for name in options.sets:
        if name == "sms_spam" and not SMS.exists():
            print(f"sms_spam: skipped, there is no {SMS.name} in the data beside the repository")
            continue
        folder = prepared(name)
        found = {}
        for generator in options.generators:
            print(f"{name}: {generator}", file=sys.stderr)
            found[generator] = benchmark(folder, generator, options)
        print(f"\n## {name}, {options.device}, {options.threads} threads\n\n{_table(found)}")
        for generator in options.generators if options.samples else ():
            _print_samples(_place(folder, generator, options) / "synthetic", options.samples)
    return 0


def benchmark(folder: Path, generator: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a generator took and how good its texts are; measured now as far as it is not known."""
    place = _place(folder, generator, options)
    if options.fresh:
        shutil.rmtree(place, ignore_errors=True)
    result = place / "result.json"
    if result.exists():
        known: dict[str, Any] = json.loads(result.read_text())
        return known
    place.mkdir(parents=True, exist_ok=True)
    synthetic, facts = place / "synthetic", place / "facts.json"
    train, holdout = folder / "split" / "train", folder / "split" / "holdout"
    if not facts.exists():
        shutil.rmtree(synthetic, ignore_errors=True)
        words = [generator, options.seed, options.device, options.threads]
        job = [train, synthetic, facts, *map(str, words)]
        usage = measure([sys.executable, _STAGE, *job], max_cpu_seconds=options.max_cpu_seconds)
        if usage.exit_status != 0:
            print(f"{generator} did not end well:\n{usage.output}", file=sys.stderr)
            return {}
    found: dict[str, Any] = json.loads(facts.read_text())
    found |= utility(train, holdout, synthetic)
    chosen = base.choose("text", list(METRICS), ["fidelity", "utility", "diversity", "privacy"])
    measured, _ = base.measure(chosen, comparison.load(folder / "split", synthetic, options.seed))
    found |= {m.name: [m.value, m.reference] for m in measured}
    draft = result.with_suffix(".draft")
    draft.write_text(json.dumps(found, indent=1) + "\n")
    draft.replace(result)
    return found


def _table(found: dict[str, dict[str, Any]]) -> str:
    """As Markdown: a row for each generator, and one for real texts."""
    heads = ["generator", *(f"F1, {name}" for name in CLASSIFIERS), *METRICS.values()]
    lines = [[*heads, *COSTS.values()], ["---"] * (len(heads) + len(COSTS))]
    known = next((run for run in found.values() if run), {})
    f1 = [_number(known.get(f"f1 {name} real")) for name in CLASSIFIERS]
    real = [_number(known.get(name, [None, None])[1]) for name in METRICS]
    lines.append(["real texts", *f1, *real, *[""] * len(COSTS)])
    for generator, run in found.items():
        f1 = [_number(run.get(f"f1 {name}")) for name in CLASSIFIERS]
        values = [_number(run.get(name, [None])[0]) for name in METRICS]
        lines.append([generator, *f1, *values, *(_number(run.get(name)) for name in COSTS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def _print_samples(synthetic: Path, n: int) -> None:
    texts, labels = read(synthetic)
    print(f"\n### {synthetic.parent.name}\n")
    for label in sorted(set(labels)):
        own = [text for text, of in zip(texts, labels, strict=True) if of == label]
        print(*(f"- {label}: {' '.join(text.split())}" for text in own[:n]), sep="\n")


def _place(folder: Path, generator: str, options: argparse.Namespace) -> Path:
    return folder / f"{generator}-{options.device}-threads{options.threads}-seed{options.seed}"


def _options(arguments: list[str]) -> argparse.Namespace:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = names("tasks.generators.text")
    known = [name for name in every if generator_class("text", name).learns_in_steps]
    add = parser.add_argument
    add("--generators", nargs="+", choices=known, default=known, help="default: all")
    add("--sets", nargs="+", default=["sms_spam"], help="sms_spam or files")
    add("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="default: cpu")
    add("--threads", type=int, default=2, help="of the processor (default: 2)")
    add("--seed", type=int, default=0, help="default: 0")
    add("--samples", type=int, default=0, help="texts of each label to print (default: 0)")
    add("--max-cpu-seconds", type=int, help="processor time after which a generator is given up")
    add("--fresh", action="store_true", help="measure again what is known")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
