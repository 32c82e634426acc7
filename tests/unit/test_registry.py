import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from tasks import registry
from tasks.errors import ParamsError


class Base(ABC):
    @abstractmethod
    def work(self) -> str: ...


class Mine(Base):
    def work(self) -> str:
        return "done"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with one implementation, one broken neighbour, and files that are neither."""
    name = "found_by_name"
    folder = tmp_path / name
    folder.mkdir()
    good = f"from {__name__} import Base\nclass Good(Base):\n    def work(self): return 'ok'\n"
    for file, text in {
        "__init__": "",
        "base": "",
        "_private": "",
        "good": good,
        "broken": "raise RuntimeError('imported')",
        "empty": "",
        "two": good + "class Other(Good): ...\n",
    }.items():
        (folder / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    return name


def test_names_lists_files_without_importing_them(package: str) -> None:
    assert registry.names(package) == ["broken", "empty", "good", "two"]


def test_load_finds_the_class_and_leaves_neighbours_alone(package: str) -> None:
    assert registry.load(package, "good", Base)().work() == "ok"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "choose one of: broken, empty, good, two"),
        ("base", "choose one of"),
        ("empty", r"expected empty\.py to define one Base, found \[\]"),
        ("two", "found .*'Good', 'Other'"),
        ("no.such:Thing", "cannot import"),
        ("pathlib:Path", "subclass of Base"),
    ],
)
def test_a_name_that_does_not_lead_to_one_class_is_refused(
    package: str, name: str, message: str
) -> None:
    with pytest.raises(ParamsError, match=message):
        registry.load(package, name, Base)


def test_a_class_from_anywhere_is_taken_as_given() -> None:
    assert registry.load("tasks.generators.tabular", f"{__name__}:Mine", Base) is Mine
