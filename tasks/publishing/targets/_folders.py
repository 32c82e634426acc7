"""Folders that targets write to."""

from pathlib import Path

from tasks.errors import ParamsError
from tasks.workspace import state_of

_OF_THE_PROJECT = ("releases", "data", ".git", ".dvc")
"""What DVC and git keep there is not what they wrote once a copy stands among it."""


def folder_of(path: str, *, dataset: str, project: Path, where: str) -> Path:
    """Where the copies of a dataset go below a folder that settings name.

    Args:
        path: absolute, of the project's folder, or of a user (`~`).
        dataset: whose copies.
        project: its folder.
        where: names the settings in messages.

    Raises:
        ParamsError: there is no such user, or the project keeps its own things there.
    """
    try:
        place = (project / Path(path).expanduser() / dataset).resolve()
    except RuntimeError as error:
        raise ParamsError(f"{where}.path: found {path!r}, which is no folder: {error}") from error
    for own in (*(project / name for name in _OF_THE_PROJECT), state_of(project)):
        if place.is_relative_to(own.resolve()):
            raise ParamsError(
                f"{where}.path: expected a folder of its own for copies; found {path!r}, where the"
                f" project itself keeps {own.name}"
            )
    return place
