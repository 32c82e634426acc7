"""Samples in archives by the WebDataset convention: files of equal path up to the first dot.

**Source**: WebDataset, "The WebDataset Format": `images/0001.png`, `images/0001.cls` and
`images/0001.json` are one sample, and follow each other in the archive.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from tasks.errors import SourceError
from tasks.sources.archives.members import Member


@dataclass(frozen=True)
class File:
    """One file of a sample.

    Attributes:
        content: of the file.
        place: for messages: the archive, the name of the member and its offset.
    """

    content: bytes
    place: str


@dataclass(frozen=True)
class Sample:
    """Files that belong together.

    Attributes:
        key: their path up to the first dot of the name.
        files: by what follows that dot, in lower case; those that were asked for.
        place: of the first one, for messages.
    """

    key: str
    files: dict[str, File]
    place: str


def samples(
    members: Iterable[Member],
    wanted: Collection[str],
    n_ignored: Counter[str],
    unread: Collection[str] = (),
) -> Iterator[Sample]:
    """The samples of an archive, each with the files that lie together.

    Args:
        members: of one archive.
        wanted: extensions, in lower case, of the files that samples have.
        n_ignored: counts, as `other_members`, the files of other extensions.
        unread: extensions of the files whose content is left empty.

    Raises:
        SourceError: a sample has two files of one extension, or comes again further down.
    """
    seen: set[bytes] = set()
    found = _read(members, wanted, n_ignored, unread)
    for key, group in itertools.groupby(found, lambda keyed: keyed[0]):
        files: dict[str, File] = {}
        for _, extension, file in group:
            if extension in files:
                raise SourceError(f"{file.place}: sample {key!r} has two files {extension!r}")
            files[extension] = file
        place = next(iter(files.values())).place
        digest = hashlib.blake2b(key.encode(), digest_size=12).digest()
        if digest in seen:
            raise SourceError(
                f"{place}: sample {key!r} was there before; files of one sample must follow each"
                " other (pack them sorted by name)"
            )
        seen.add(digest)
        yield Sample(key, files, place)


def _read(
    members: Iterable[Member],
    wanted: Collection[str],
    n_ignored: Counter[str],
    unread: Collection[str],
) -> Iterator[tuple[str, str, File]]:
    for member in members:
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        kind = extension.lower()
        if stem and kind in wanted:
            file = File(b"" if kind in unread else member.read(), member.place)
            yield f"{folder}{slash}{stem}", kind, file
        else:
            n_ignored["other_members"] += 1
