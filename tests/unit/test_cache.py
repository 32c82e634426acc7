"""The on-disk cache: whole entries, a size limit, the least recently used goes first."""

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from tasks.cache import Cache
from tasks.errors import ParamsError

MADE = "made"


def fill(n_bytes: int):
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(bytes(n_bytes))

    return make


def never(folder: Path) -> None:
    raise AssertionError("it is there")


def add(cache: Cache, key: str, n_bytes: int = 100) -> None:
    cache.get("files", key, fill(n_bytes), n_bytes).release()


def has(cache: Cache, key: str) -> bool:
    if (entry := cache.find("files", key)) is None:
        return False
    entry.release()
    return True


def used(cache: Cache, key: str, seconds_ago: float) -> None:
    """Set when an entry was last used."""
    then = time.time() - seconds_ago
    os.utime(cache._place("files", key), (then, then))


def test_an_entry_is_made_once(tmp_path):
    cache = Cache(tmp_path, 1_000)
    first = cache.get("files", "a", fill(3))
    assert (first.folder / "data").read_bytes() == bytes(3)
    assert cache.get("files", "a", never).folder == first.folder
    assert cache.get("snapshots", "a", fill(1)).folder != first.folder
    assert cache.find("files", "b") is None


def test_what_fails_leaves_no_entry_and_its_rest_is_there_at_the_next_try(tmp_path):
    cache = Cache(tmp_path, 1_000)

    def fail(folder: Path) -> None:
        (folder / "data").write_bytes(b"half")
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        cache.get("files", "a", fail)
    assert cache.find("files", "a") is None

    def finish(folder: Path) -> None:
        assert (folder / "data").read_bytes() == b"half"
        (folder / "data").write_bytes(b"whole")

    assert (cache.get("files", "a", finish).folder / "data").read_bytes() == b"whole"


def test_the_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path, 1_000)
    for key in "abcdefghi":
        add(cache, key)
    for i, key in enumerate("abcdefghi"):
        used(cache, key, 100 - i)
    assert has(cache, "a")  # now the latest
    add(cache, "j")
    add(cache, "k")
    # 9 entries of 100 bytes fit in 95 % of 1,000.
    assert [key for key in "abcdefghijk" if has(cache, key)] == list("adefghijk")


def test_what_is_in_use_stays(tmp_path):
    cache = Cache(tmp_path, 250)
    held = cache.get("files", "a", fill(100), 100)
    used(cache, "a", 100)
    for key in "bcd":
        add(cache, key)
    assert (held.folder / "data").exists()
    assert [key for key in "abcd" if has(cache, key)] == ["a", "d"]
    held.release()
    used(cache, "a", 100)
    add(cache, "e")
    assert not has(cache, "a")


def test_an_entry_is_in_use_as_long_as_somebody_has_it(tmp_path):
    cache = Cache(tmp_path, 250)
    entry = cache.get("files", "a", fill(100), 100)
    cache.drop("files", "a")
    assert has(cache, "a")
    del entry
    cache.drop("files", "a")
    assert not has(cache, "a")


def test_what_was_used_of_late_can_be_forgotten(tmp_path):
    cache = Cache(tmp_path, 1_000)
    for key in "abc":
        add(cache, key)
        used(cache, key, 100)
    before = cache.uses("files")
    assert has(cache, "b")
    held = cache.find("files", "c")
    cache.forget("files", before)
    assert [key for key in "abc" if has(cache, key)] == ["a", "c"]
    assert held is not None


def test_more_than_the_limit_is_kept_while_it_is_used(tmp_path):
    cache = Cache(tmp_path, 100)
    big = cache.get("files", "a", fill(1_000), 1_000)
    assert (big.folder / "data").stat().st_size == 1_000
    big.release()
    add(cache, "b", 10)
    assert not has(cache, "a")


def test_rests_of_dead_processes_are_evicted(tmp_path):
    cache = Cache(tmp_path, 1_000)
    (tmp_path / "files" / ("0" * 64 + ".draft")).mkdir(parents=True)
    (tmp_path / "files" / ("0" * 64 + ".draft") / "data").write_bytes(bytes(900))
    add(cache, "a")
    assert [p.name for p in (tmp_path / "files").iterdir() if p.suffix == ".draft"] == []


def _make_slowly(folder: Path, n_made: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    def make(draft: Path) -> None:
        with n_made.get_lock():
            n_made.value += 1
        time.sleep(0.05)
        (draft / "data").write_text(MADE)

    entry = Cache(folder, 1_000).get("files", "a", make)
    assert (entry.folder / "data").read_text() == MADE


def test_of_several_processes_and_threads_one_makes_it(tmp_path):
    context = multiprocessing.get_context("fork")
    n_made = context.Value("i", 0)
    workers = [context.Process(target=_make_slowly, args=(tmp_path, n_made)) for _ in range(3)]
    workers += [threading.Thread(target=_make_slowly, args=(tmp_path, n_made)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert n_made.value == 1
    assert all(worker.exitcode == 0 for worker in workers[:3])


def test_many_at_once_under_a_small_limit_never_see_half_an_entry(tmp_path):
    faults: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            for i in range(60):
                key = str((i * 7 + offset) % 10)
                entry = Cache(tmp_path, 300).get("files", key, fill(100), 100)
                assert (entry.folder / "data").stat().st_size == 100
                entry.release()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sum(path.stat().st_size for path in tmp_path.rglob("data")) <= 300 + 4 * 100


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(tmp_path, monkeypatch, value):
    monkeypatch.setenv("PROOFMINT_CACHE_GIB", value)
    with pytest.raises(ParamsError, match=f"PROOFMINT_CACHE_GIB to be .* found {value!r}"):
        Cache.of(tmp_path)


def test_the_limit_is_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("PROOFMINT_CACHE_GIB", raising=False)
    assert Cache.of(tmp_path).limit_bytes == 20 * 2**30
    monkeypatch.setenv("PROOFMINT_CACHE_GIB", "0.5")
    assert Cache.of(tmp_path).limit_bytes == 2**29
