"""Asks pip-audit which of the locked packages has a known vulnerability: part of `make check`.

A package that nobody was asked about is counted and said, never taken for a sound one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANSWER_S = 600


def locks() -> list[Path]:
    """Everything that is installed by us: on the site's machine and in the images."""
    return [ROOT / "requirements.lock", *sorted((ROOT / "images").glob("*/requirements.lock"))]


def asked(lock: Path) -> dict[str, Any] | str:
    """What pip-audit says of a lock; why it says nothing."""
    command = [Path(sys.executable).with_name("pip-audit"), "--disable-pip", "--require-hashes",
               "--progress-spinner", "off", "--format", "json", "-r", lock]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=ANSWER_S, check=False
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def verdict(name: str, said: dict[str, Any] | str) -> tuple[bool, list[str]]:
    """Whether a lock has no known vulnerability, and what to tell."""
    if isinstance(said, str):
        return True, [f"{name}: NOT AUDITED, nobody answered: {said}"]
    packages = said["dependencies"]
    known = [package for package in packages if "version" in package]
    found = [
        f"{name}: {package['name']} {package['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no version yet'}"
        for package in known
        for fault in package["vulns"]
    ]
    unknown = len(packages) - len(known)
    missing = f"; NOT AUDITED: {unknown}, which the index tells nothing about" if unknown else ""
    return not found, [*found, f"{name}: {len(known)} packages audited, {len(found)} faults known{missing}"]


def main() -> int:
    """Audit every lock; 1 if one of them has a known vulnerability."""
    sound = True
    for lock in locks():
        passed, lines = verdict(str(lock.relative_to(ROOT)), asked(lock))
        sound = sound and passed
        print("\n".join(lines), flush=True)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
