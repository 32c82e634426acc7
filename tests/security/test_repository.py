"""No key, token or password stands in the repository or anywhere in its history."""

import io
import re
import subprocess
from collections.abc import Iterator

from tests.projects import REPOSITORY

KEYS = {
    "a private key": rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    "an AWS access key": rb"\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE)[A-Z0-9]{16}\b",
    "a token of GitHub": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "a token of GitLab": rb"\bglpat-[A-Za-z0-9_-]{20}",
    "a token of Slack": rb"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "a token of Hugging Face": rb"\bhf_[A-Za-z]{34}\b",
    "a token of PyPI": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    "a key of Google": rb"\bAIza[A-Za-z0-9_-]{35}\b",
    "a JSON web token": rb"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "a webhook of Slack": rb"hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/\w{20,}",
}
ANY_KEY = re.compile(b"|".join(b"(%b)" % pattern for pattern in KEYS.values()))
LARGE_BYTES = 1_000_000
"""What is larger is a picture or a table of a benchmark."""


def contents() -> Iterator[tuple[str, bytes]]:
    """Every file of every commit, by its name in git."""
    listed = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch-check", "--unordered"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    ).stdout.decode()
    wanted = [
        name
        for name, kind, size in map(str.split, listed.splitlines())
        if kind in ("blob", "commit", "tag") and int(size) < LARGE_BYTES
    ]
    done = subprocess.run(
        ["git", "cat-file", "--batch", "--buffer"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        input="".join(f"{name}\n" for name in wanted).encode(),
    )
    stream = io.BytesIO(done.stdout)
    for name in wanted:
        size = int(stream.readline().split()[-1])
        yield name, stream.read(size)
        stream.read(1)


def test_no_key_is_in_any_commit() -> None:
    n_files = 0
    for name, content in contents():
        n_files += 1
        if found := ANY_KEY.search(content):
            kind = list(KEYS)[next(i for i, group in enumerate(found.groups()) if group)]
            raise AssertionError(f"object {name} holds {kind}: revoke it, then rewrite the history")
    assert n_files > 100


def test_the_scan_finds_what_it_looks_for() -> None:
    planted = b"-----BEGIN PRIVATE " + b"KEY-----\n" + b"M" * 64
    assert ANY_KEY.search(planted)
    assert ANY_KEY.search(b"AKIA" + b"Q" * 16)
    assert ANY_KEY.search(b"x=ghp_" + b"a1" * 18)
    assert not ANY_KEY.search(b"sha256: " + b"ab12" * 16)


def test_what_holds_secrets_is_ignored_by_git() -> None:
    for path in (".proofmint/secrets/mlflow", ".proofmint/keys/ed25519.pem", ".proofmint/env"):
        done = subprocess.run(["git", "check-ignore", "-q", path], cwd=REPOSITORY, check=False)
        assert done.returncode == 0, path
