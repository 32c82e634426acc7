"""Proofmint's default generator at its defaults, from CSV file to CSV file."""

import sys
from pathlib import Path

import phases
import pyarrow as pa
import pyarrow.csv as pa_csv

from tasks.params import TrainParams
from tasks.schema import arrow_schema
from tasks.sources.files import open_csv
from tasks.stages.sample import draw
from tasks.training.device import choose_device, reproducible
from tasks.training.loop import fit
from tasks.training.model import Model, generator_class

GENERATOR = "autoregressive"


def main() -> None:
    """Not `phases.run`: nothing of ours takes a data frame."""
    train, synthetic, seed, _, facts = sys.argv[1:]
    settings = TrainParams(threads=1, device="cpu")
    device = choose_device(settings.device)
    started = phases.clocks()
    schema, batches = open_csv(Path(train))
    real = pa.Table.from_batches(batches).cast(arrow_schema(schema.main))
    cls = generator_class("tabular", GENERATOR)
    fitted = fit(
        cls, cls.Params(), schema, lambda: iter(real.to_batches()), settings, seed=int(seed)
    )
    trained = phases.clocks()
    model = Model(fitted.generator, fitted.encoder, real.num_rows)
    with reproducible(device, settings.threads):
        drawn = pa.Table.from_batches(draw(model, real.num_rows, int(seed), device))
    pa_csv.write_csv(drawn, synthetic)
    sampled = phases.clocks()
    phases.write_facts(Path(facts), "proofmint", started, trained, sampled)


if __name__ == "__main__":
    main()
