"""The systems that `benchmarks/tabular.py` compares, each in a Python environment of its own.

Peers are used through their public interface alone (benchmarks/peers), at their defaults.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.measured import measure

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".proofmint" / "benchmarks"
RUNNERS = ROOT / "benchmarks" / "peers"

_INSTALLED = "installed.txt"
"""In an environment that is complete: the requirements that it was made from."""


@dataclass(frozen=True)
class System:
    """One of those that are compared.

    Attributes:
        name: on the command line and in file names.
        label: in tables for people.
        runner: a file of benchmarks/peers.
        requirements: what its environment is made from; empty: it runs in ours.
        arguments: of the runner, after those that all have.
    """

    name: str
    label: str
    runner: str
    requirements: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Of the package; ours with a digest of its code, which changes between releases."""
        if self.requirements:
            return self.requirements[0].partition("==")[2]
        files = sorted((ROOT / "tasks").rglob("*.py"))
        code = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        return f"{version('proofmint')}+{code[:8]}"

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        if not self.requirements:
            return Path(sys.executable)
        return HOME / "environments" / self._environment / "bin" / "python"

    @property
    def _environment(self) -> str:
        return self.requirements[0].partition("==")[0]

    def install(self) -> None:
        """Make its environment, unless it is there, of these requirements, and complete."""
        if not self.requirements:
            return
        folder = self.python.parents[1]
        marker = folder / _INSTALLED
        wanted = "\n".join(self.requirements)
        if marker.exists() and marker.read_text() == wanted:
            return
        print(f"installing {', '.join(self.requirements)} into {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if uv is None:
            raise SystemExit("expected uv, which makes the environments of the peers, found none")
        for arguments in (
            ["venv", "--quiet", "--python", sys.executable, folder],
            ["pip", "install", "--quiet", "--python", self.python, *self.requirements],
        ):
            subprocess.run([uv, *arguments], check=True)
        marker.write_text(wanted)


# One build of PyTorch for all, so that a difference in speed is one of the systems.
_TORCH = "torch==2.13.0"

SYSTEMS = {
    system.name: system
    for system in (
        System("proofmint", "Proofmint `autoregressive`", "run_proofmint.py"),
        System(
            "mostlyai",
            "mostlyai-engine TabularARGN",
            "run_mostlyai.py",
            ("mostlyai-engine==2.7.3", _TORCH),
        ),
        System("gaussian_copula", "SDV GaussianCopula", "run_gaussian_copula.py", ("sdv==2.0.0",)),
        System("tvae", "ctgan TVAE", "run_ctgan.py", ("ctgan==0.12.1", _TORCH), ("TVAE",)),
        System("ctgan", "ctgan CTGAN", "run_ctgan.py", ("ctgan==0.12.1", _TORCH), ("CTGAN",)),
    )
}

SDMETRICS = System(
    "sdmetrics", "SDMetrics", "score_sdmetrics.py", ("sdmetrics==0.32.0", "xgboost==3.2.0")
)
"""Not a system that is compared: what measures them, where its own figures are wanted."""


def run(
    system: System,
    train: Path,
    synthetic: Path,
    *,
    discrete: Path,
    seed: int,
    core: int | None = None,
    max_cpu_seconds: int | None = None,
) -> dict[str, Any]:
    """Fit a system on the rows of a file and let it write as many synthetic ones.

    Args:
        system: which one.
        train: CSV file of real rows.
        synthetic: CSV file to write.
        discrete: JSON file, a list of the columns that are not numbers.
        seed: of the system's randomness, as far as it takes one.
        core: the one processor to run on.
        max_cpu_seconds: processor time after which it is given up.

    Returns:
        What the whole process took (see `measured.Usage`) and, if it ended well, the times of
        both phases and the version that ran.
    """
    system.install()
    facts = synthetic.with_suffix(".facts.json")
    facts.unlink(missing_ok=True)
    arguments = [train, synthetic, seed, discrete, facts, *system.arguments]
    usage = measure(
        [system.python, RUNNERS / system.runner, *map(str, arguments)],
        core=core,
        max_cpu_seconds=max_cpu_seconds,
    )
    found = asdict(usage)
    if usage.exit_status == 0:
        found.update(json.loads(facts.read_text()))
        del found["output"]
    facts.unlink(missing_ok=True)
    return found
