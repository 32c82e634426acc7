"""Every command block of the documentation does what it says, in a project of its own per page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.commands import demo_source
from tests.conftest import DemoSource
from tests.documentation import Block, blocks, pages, write_examples
from tests.e2e.conftest import LENIENT
from tests.projects import REPOSITORY, copy_project

THIS_VERY_RUN = re.compile(r"^make (test|test-slow|check|compose-test)\b.*\n", re.MULTILINE)
"""What `.ci/run` and people run anyway, and what would start this test again."""

QUICK = {
    "CONTRIBUTING.md",
    "docs/evaluation.md",
    "docs/extending.md",
    "docs/gates.md",
}
"""Pages that `make test` executes; all of them: `make test-slow`."""

WITH_COMMANDS = [page for page in pages() if any(block.place is None for block in blocks(page))]


def _named(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def _cases() -> list[object]:
    return [
        pytest.param(page, id=_named(page), marks=[] if _named(page) in QUICK else pytest.mark.slow)
        for page in WITH_COMMANDS
    ]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", _cases())
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, demo_sources: DemoSource) -> None:
    root = _project(tmp_path / "proofmint")
    script = "\n".join(_guarded(block) for block in blocks(page) if block.place is None)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MLFLOW_"))}
    environment.pop("PROOFMINT_HOME", None)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=root,
        env={
            **environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "HOME": str(tmp_path),
            "PROOFMINT_DEMO": demo_sources.url,
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Ada",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "ada@example.org",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    subprocess.run(
        [sys.executable, "-m", "tasks", "down"], cwd=root, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{_named(page)}:\n{done.stdout[-6000:]}"
    assert "internal error" not in done.stdout


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_the_commands_of_a_page_can_be_read(page: Path) -> None:
    for block in blocks(page):
        assert block.place in (None, "compose", "kubernetes"), f"{block.page}:{block.line}"
        assert block.script.strip(), f"{block.page}:{block.line} has no command"
        done = subprocess.run(
            ["bash", "-n"], input=block.script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.page}:{block.line}: {done.stderr}"


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_the_settings_of_a_page_are_yaml(page: Path) -> None:
    for text in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        yaml.safe_load(text)


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def _guarded(block: Block) -> str:
    """The block with its place told where it fails; a session may end with any of our errors."""
    script = THIS_VERY_RUN.sub("", block.script)
    told = f"echo '--- {block.page}:{block.line}'"
    if not block.session:
        return f"{told}\n{script}"
    return f"{told}\nset +e\n{script}\n[ $? -le 9 ] || exit 1\nset -e"


def _project(root: Path) -> Path:
    """A copy of this project with quick settings, the demo's sources and the examples' files."""
    copy_project(root)
    settings = yaml.safe_load((root / "params.yaml").read_text())
    for name, thresholds in LENIENT.items():
        settings["datasets"][name]["train"] = {"epochs": 2}
        settings["datasets"][name]["thresholds"] |= thresholds
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *identity, "commit", "-qam", "quick settings"], cwd=root, check=True)
    (root / ".venv").mkdir()  # as `make` leaves it; the stamp is its own, so nothing is set up anew
    for part in Path(sys.prefix).iterdir():
        (root / ".venv" / part.name).symlink_to(part)
    (root / ".venv" / ".installed").unlink(missing_ok=True)
    (root / ".venv" / ".installed").touch()
    demo_source.write_digits(demo_source.digits_folder(root))
    write_examples(root)
    return root
