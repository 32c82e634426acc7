"""Randomness as an argument: independent generators derived from one seed and a name.

Two callers with different names never share a stream, so adding a draw in one place changes no
number anywhere else.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose that `names` spells, from the dataset's one `seed`.

    Args:
        seed: the seed of the dataset, from params.yaml.
        names: what the randomness is for, from the general to the particular: `"train", 3`.
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the purpose that `names` spells."""
    return np.random.default_rng(derive_seed(seed, *names))
