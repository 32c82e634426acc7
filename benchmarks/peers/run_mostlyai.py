"""mostlyai-engine: TabularARGN (Tiwald et al. 2025, arXiv:2501.12012) at its defaults."""

import pandas as pd
import phases
from mostlyai.engine import TabularARGN


def fit(rows: pd.DataFrame, _: list[str], seed: int) -> TabularARGN:
    """Columns get the encodings that the package infers."""
    return TabularARGN(random_state=seed, device="cpu").fit(rows)


def sample(model: TabularARGN, n_rows: int) -> pd.DataFrame:
    """As many rows as asked for."""
    return model.sample(n_samples=n_rows)


if __name__ == "__main__":
    phases.run("mostlyai-engine", fit, sample)
