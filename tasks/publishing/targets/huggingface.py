"""Target `huggingface`: folders in the layout of the Hugging Face Hub, ready to be pushed.

    <path>/<dataset>/v2/       the release, `.gitattributes` for Git LFS, its attestation inside
    <path>/<dataset>/current   -> v2: `hf upload you/name <path>/<dataset>/current --repo-type dataset`

A release is a folder that `datasets.load_dataset` opens already. What the Hub keeps is one folder,
so what stands beside a release elsewhere goes into `.proofmint/` here, where `proofmint verify`
looks, too: of the copy, of a clone of the Hub's repository, of what `hf download` has fetched.
"""

from pathlib import Path

from tasks.publishing.targets.base import Copy
from tasks.publishing.targets.folder import FolderTarget, write_whole
from tasks.publishing.verification import ATTESTATION_INSIDE, NOTICE_INSIDE
from tasks.versions import Version

GIT_ATTRIBUTES = "*.parquet filter=lfs diff=lfs merge=lfs -text\n"
"""What the Hub wants as large files; everything else of a release is text."""


class HuggingFaceTarget(FolderTarget):
    """Copies as repositories of the Hub."""

    def fill(self, copy: Copy, draft: Path) -> None:
        """See `FolderTarget.fill`."""
        super().fill(copy, draft)
        (draft / ".gitattributes").write_text(GIT_ATTRIBUTES, encoding="ascii")
        (draft / ATTESTATION_INSIDE).parent.mkdir()
        (draft / ATTESTATION_INSIDE).write_text(copy.attestation, encoding="utf-8")

    def withdraw(self, version: Version) -> None:
        """See `Target.withdraw`: inside, too, so that the next push tells the Hub's readers."""
        super().withdraw(version)
        if version.withdrawn is not None:
            write_whole(self.folder / version.name / NOTICE_INSIDE, version.withdrawn.notice)
