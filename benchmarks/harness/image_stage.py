"""One process of `benchmarks/images.py` or `text.py`: train a generator, and draw as many rows.

python image_stage.py TRAIN SYNTHETIC FACTS.json GENERATOR SEED DEVICE THREADS
"""

import json
import os
import sys
import time
from pathlib import Path

from tasks.params import TrainParams
from tasks.schema import DatasetSchema
from tasks.stages.sample import draw
from tasks.storage import StoredRows, new_folder, write_dataset
from tasks.training.device import choose_device, reproducible
from tasks.training.loop import fit
from tasks.training.model import Model, generator_class


def main() -> None:
    """See the module."""
    train, synthetic, facts, name, seed, device, threads = sys.argv[1:]
    settings = TrainParams.model_validate({"threads": int(threads), "device": device})
    schema = DatasetSchema.load(Path(train))
    rows = StoredRows(Path(train), schema.main.name)
    cls = generator_class(schema.kind, name)
    clocks = [_clocks()]
    fitted = fit(cls, cls.Params(), schema, rows, settings, seed=int(seed))
    clocks.append(_clocks())
    place = choose_device(settings.device)
    model = Model(fitted.generator, fitted.encoder, len(rows))
    with reproducible(place, settings.threads), new_folder(Path(synthetic)) as draft:
        drawn = draw(model, len(rows), int(seed), place)
        write_dataset(draft, schema, {schema.main.name: drawn})
    clocks.append(_clocks())
    phases = {"fit": (clocks[0], clocks[1]), "sample": (clocks[1], clocks[2])}
    found = {
        f"{phase}_{clock}_seconds": after - before
        for phase, pair in phases.items()
        for clock, before, after in zip(("wall", "cpu"), *pair, strict=True)
    }
    found |= {key: fitted.summary[key] for key in ("parameters", "epochs", "best_epoch")}
    Path(facts).write_text(json.dumps(found, indent=1) + "\n")


def _clocks() -> tuple[float, float]:
    """Seconds on the wall, and on the processor."""
    return time.monotonic(), sum(os.times()[:2])


if __name__ == "__main__":
    main()
