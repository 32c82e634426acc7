"""Known vulnerabilities of what requirements.lock installs, as PyPI's advisories tell them.

Ends with status 1 where there is one that .ci/accepted-vulnerabilities.yaml does not name with a reason. Where the service
cannot be asked (no network, a mirror without advisories), it says so and ends with status 0: that
nothing was found is then not claimed.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 300


def main() -> int:
    """Ask, and print what came of it."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.lock")),
        *("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
        *("--timeout", "15"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
        )
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        print(f"NOT AUDITED: the advisories were not told within {LIMIT_SECONDS} s")
        return 0
    except json.JSONDecodeError:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"NOT AUDITED: the advisories could not be had: {reason}")
        return 0
    accepted = yaml.safe_load((ROOT / ".ci" / "accepted-vulnerabilities.yaml").read_text()) or {}
    lines, status = judge(report, accepted)
    print("\n".join(lines))
    return status


def judge(report: Mapping[str, Any], accepted: Mapping[str, str]) -> tuple[list[str], int]:
    """What is printed of pip-audit's report, and the status.

    Args:
        report: as pip-audit writes it.
        accepted: by an advisory's id why it does not matter here.
    """
    audited = [entry for entry in report["dependencies"] if "vulns" in entry]
    skipped = len(report["dependencies"]) - len(audited)
    if not audited:
        return [f"NOT AUDITED: the index here knows no advisories of {skipped} packages"], 0
    lines, refused, met = [], 0, set()
    for entry in audited:
        for found in entry["vulns"]:
            ids = {found["id"], *found.get("aliases", ())}
            met |= ids
            known = sorted(ids & accepted.keys())
            mended = ", ".join(found.get("fix_versions", ())) or "no version"
            what = f"{entry['name']} {entry['version']}: {found['id']}, mended in {mended}"
            if known:
                lines.append(f"accepted  {what}: {accepted[known[0]]}")
            else:
                refused += 1
                lines.append(f"REFUSED   {what}: {found.get('description', '')[:200]}")
    lines += [f"no longer found, remove it: {name}" for name in sorted(accepted.keys() - met)]
    lines.append(
        f"{len(audited)} packages audited, {skipped} unknown to the index, {refused} refused"
    )
    return lines, int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
