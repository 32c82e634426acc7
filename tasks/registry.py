"""Find an implementation by its name: the file `<package>/<name>.py`, or `module:Class`.

A file is imported only when it is asked for, so a broken or heavy neighbour costs nothing.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path
from typing import TypeVar

from tasks.errors import ParamsError

_T = TypeVar("_T")


def names(package: str) -> list[str]:
    """The names that `load` accepts for `package` (a dotted path), sorted, without importing them.

    A file whose name starts with `_`, `base.py` and folders are not implementations.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ParamsError(f"expected a package, found {package!r}")
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    files = (m.name for m in found if not m.ispkg)
    return sorted(name for name in files if not name.startswith("_") and name != "base")


def load(package: str, name: str, base: type[_T]) -> type[_T]:
    """The one subclass of `base` that the file `name` of `package` defines.

    Args:
        package: dotted path of the folder of implementations, e.g. `tasks.generators.tabular`.
        name: a file of that folder, or `module:Class` for a class from anywhere.
        base: what the class must be a subclass of.

    Raises:
        ParamsError: the name is unknown, or the file does not define exactly one such class.
    """
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise ParamsError(f"cannot import {name!r}: {error}") from error
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise ParamsError(f"expected {name!r} to be a subclass of {base.__name__}")
        return found
    choices = names(package)
    if name not in choices:
        raise ParamsError(
            f"{package} has no {name!r}; choose one of: {', '.join(choices)}"
            " (or name your own class as 'module:Class')"
        )
    module = importlib.import_module(f"{package}.{name}")
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__
        and issubclass(member, base)
        and not inspect.isabstract(member)
        and not member.__name__.startswith("_")
    ]
    if len(classes) != 1:
        raise ParamsError(
            f"expected {Path(module.__file__ or name).name} to define one {base.__name__},"
            f" found {[c.__name__ for c in classes]}"
        )
    return classes[0]
