"""Secret noise: from a key alone, normal, never twice."""

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import WorkspaceError
from tasks.noise import KEY_BYTES, SecretNoise, new_key, project_key

KEY = bytes(range(KEY_BYTES))


def test_the_same_key_and_purpose_give_the_same_numbers() -> None:
    one, other = SecretNoise(KEY), SecretNoise(KEY)
    np.testing.assert_array_equal(one.normal((5, 2), "a", 1), other.normal((5, 2), "a", 1))


def test_purposes_and_keys_differ() -> None:
    noise = SecretNoise(KEY)
    drawn = [noise.uniform((8,), "a", 1), noise.uniform((8,), "a", 2), noise.uniform((8,), "b", 1)]
    drawn.append(SecretNoise(new_key()).uniform((8,), "a", 1))
    assert len({tuple(numbers) for numbers in drawn}) == 4


def test_normal_numbers_are_normal() -> None:
    drawn = SecretNoise(KEY).normal((200_000,), "n")
    # Four standard errors of the mean, the standard deviation, the share beyond 1.96, and the
    # correlation of neighbours.
    assert abs(drawn.mean()) < 4 / 200_000**0.5
    assert abs(drawn.std() - 1) < 4 / 400_000**0.5
    assert abs((np.abs(drawn) > 1.959964).mean() - 0.05) < 4 * (0.05 * 0.95 / 200_000) ** 0.5
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 4 / 200_000**0.5


def test_uniform_numbers_are_inside_of_zero_and_one() -> None:
    drawn = SecretNoise(KEY).uniform((10_000,), "u")
    assert 0 < drawn.min() < drawn.max() < 1


def test_noise_for_a_purpose_is_given_once() -> None:
    noise = SecretNoise(KEY)
    noise.normal((3,), "gradients", 0)
    with pytest.raises(ValueError, match="used before"):
        noise.normal((3,), "gradients", 0)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretNoise(b"short")


def test_the_projects_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = project_key(tmp_path)
    assert len(key) == KEY_BYTES
    assert project_key(tmp_path) == key
    (place,) = (tmp_path / "keys").iterdir()
    assert place.stat().st_mode & 0o077 == 0


def test_a_damaged_key_is_told(tmp_path: Path) -> None:
    project_key(tmp_path)
    (tmp_path / "keys" / "noise.key").write_bytes(b"half")
    with pytest.raises(WorkspaceError, match="found 4"):
        project_key(tmp_path)
