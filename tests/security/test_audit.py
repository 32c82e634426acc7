"""The audit of dependencies: what refuses, what is accepted, and that no answer is no clean bill."""

import importlib.util
from types import ModuleType

import pytest

from tests.projects import REPOSITORY


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    found = importlib.util.spec_from_file_location("audit", REPOSITORY / ".ci" / "audit.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def report(*vulnerabilities: str) -> dict[str, object]:
    vulns = [
        {"id": name, "aliases": [f"CVE-{name}"], "fix_versions": ["2.0"], "description": "bad"}
        for name in vulnerabilities
    ]
    return {
        "dependencies": [
            {"name": "a", "version": "1.0", "vulns": vulns},
            {"name": "b", "skip_reason": "unknown to the index"},
        ]
    }


def test_a_vulnerability_is_refused_unless_it_is_accepted_with_a_reason(audit: ModuleType) -> None:
    lines, status = audit.judge(report("PYSEC-1", "PYSEC-2"), {"CVE-PYSEC-2": "not used here"})
    assert status == 1
    assert lines[0].startswith("REFUSED   a 1.0: PYSEC-1, mended in 2.0")
    assert lines[1].endswith("not used here")
    assert audit.judge(report("PYSEC-2"), {"PYSEC-2": "not used here"})[1] == 0


def test_what_is_accepted_and_gone_is_told(audit: ModuleType) -> None:
    lines, status = audit.judge(report(), {"PYSEC-3": "old"})
    assert (lines[0], status) == ("no longer found, remove it: PYSEC-3", 0)
    assert lines[-1] == "1 packages audited, 1 unknown to the index, 0 refused"


def test_an_index_without_advisories_is_told(audit: ModuleType) -> None:
    unknown = {"dependencies": [{"name": "a", "skip_reason": "unknown"}]}
    lines, status = audit.judge(unknown, {})
    assert (lines, status) == (["NOT AUDITED: the index here knows no advisories of 1 packages"], 0)
