"""What others call the licence that params.yaml names by its SPDX identifier."""

import re

_ON_THE_HUB = frozenset(
    {
        "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause",
        "bsl-1.0", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0",
        "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0",
        "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0",
        "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa",
        "odbl", "odc-by", "ofl-1.1", "osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
    }
)  # fmt: skip
"""Identifiers that the Hugging Face Hub knows (hub-docs, `repositories-licenses.md`)."""


def hub_licence(spdx: str) -> dict[str, str]:
    """The `license` keys of a dataset card's front matter."""
    identifier = re.sub(r"-(only|or-later)$", "", spdx.lower())
    # The Hub leaves out the version of the Open Data Commons licences.
    identifier = re.sub(r"^(odbl|odc-by|pddl)-1\.0$", r"\1", identifier)
    if identifier in _ON_THE_HUB:
        return {"license": identifier}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.-]+", "-", spdx.lower())}


def licence_url(spdx: str) -> str | None:
    """The page of the licence, if `spdx` looks like an SPDX identifier."""
    if re.fullmatch(r"[A-Za-z0-9.+-]+", spdx) and not spdx.startswith("LicenseRef-"):
        return f"https://spdx.org/licenses/{spdx}"
    return None
