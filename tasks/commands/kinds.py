"""What kind of data a path on the command line holds, told by its form.

a folder                                          images, with one sub-folder per label or without
a file called .npz                                images as arrays
text with two columns, one of free text,
the other of few values                           labelled texts
any other file                                    a table
"""

from pathlib import Path

from tasks.commands import text_form
from tasks.errors import ParamsError, SourceError
from tasks.locations.files import near
from tasks.schema import Kind
from tasks.sources.formats.parquet import Parquet

KINDS: tuple[Kind, ...] = ("tabular", "image", "text")
"""What commands that take files can be told."""

GENERATORS: dict[Kind, str] = {
    "tabular": "autoregressive",
    "image": "ddpm",
    "text": "transformer",
    "multimodal": "paired",
}
"""What is trained where nobody names a generator."""

EXPECTED = (
    "it may be a CSV file, a folder of images with one sub-folder per label, an .npz file of images"
    " `x` and labels `y`, or a CSV or TSV of texts and labels"
)


def kind_of(path: Path, given: Kind | None, encoding: str) -> Kind:
    """The kind of what lies at `path`.

    Args:
        path: a file or a folder.
        given: what the user says; None: to be found out.
        encoding: of text without a byte order mark.

    Raises:
        SourceError: there is nothing, or text of another encoding.
        ParamsError: `given` cannot be the kind of such a file.
    """
    if not path.exists():
        raise SourceError(
            f"expected a file or folder at {path}, found none{near(path)}; {EXPECTED}"
        )
    form = (
        "a folder" if path.is_dir() else "an .npz file" if path.suffix.lower() == ".npz" else None
    )
    if form is not None:
        if given not in (None, "image"):
            raise ParamsError(
                f"--kind {given}: {path} is {form}, which holds images; leave --kind out, or name"
                " a delimited file"
            )
        return "image"
    if given == "image":
        raise ParamsError(
            f"--kind image: expected a folder or an .npz file of images, found the file {path}"
        )
    if given is not None:
        return given
    if path.suffix.lower() in Parquet.suffixes:
        return "tabular"
    return "tabular" if text_form.recognised(path, encoding) is None else "text"
