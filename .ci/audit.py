"""Licences and known vulnerabilities of all that the packages depend on; called by ``make audit`` with uv's path.

Ends with 1 when a licence is not allowed, a version has a known vulnerability, or either could not be found out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = {"bengrn", "grnndata", "scdataloader", "scprint-model", "scprint-workspace"}
#: Beginnings of the names of licences that any dependency may have, and why.
ALLOWED = {
    "MIT": "asks for its notice only",
    "BSD": "asks for its notice only; it is our own licence",
    "3-Clause BSD": "another name of it",
    "0BSD": "asks for nothing",
    "ISC": "asks for its notice only",
    "Zlib": "asks for its notice only",
    "BSL-1.0": "Boost: asks for its notice only, in sources",
    "Apache": "asks for its notice and a list of changes; grants patents",
    "PSF": "Python's own",
    "Python Software Foundation": "another name of it",
    "CNRI-Python": "Python's former one",
    "CC0": "asks for nothing",
    "Unlicense": "asks for nothing",
    "MPL": "asks for changes of its own files only, of which we make none",
    "Mozilla Public License": "another name of it",
}
#: Packages with another licence, or one that their metadata does not name; why each may stay.
EXCEPTIONS = {
    "igraph": "GPL, in extras only: nobody needs it, and no package of ours holds a part of it",
    "psycopg2-binary": "LGPL, imported as it is; lamindb's, in an extra only",
    "bionty": "Apache-2.0 by its licence file; in an extra only",
    "lamin-cli": "Apache-2.0 by its licence file; in an extra only",
    "lamindb": "Apache-2.0 by its licence file; in an extra only",
    "lamindb-core": "Apache-2.0 by its licence file; in an extra only",
    "lamindb-setup": "Apache-2.0 by its licence file; in an extra only",
    "pertdb": "names none in what is installed; lamindb brings it, in an extra only",
}
#: NVIDIA's libraries may be used and passed on; PyTorch's builds for GPUs bring them, those for CPUs do not.
FROM_NVIDIA = re.compile(r"(nvidia|cuda)-")


def main(uv: str) -> int:
    """Check both; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        export = ["export", "--quiet", "--locked", "--no-dev", "--no-emit-workspace", "--no-hashes", "--no-annotate"]
        subprocess.run([uv, *export, "-o", str(requirements)], check=True, stdout=subprocess.DEVNULL)
        names = {normal(line.partition("==")[0]) for line in requirements.read_text().splitlines() if "==" in line}
        status = licences(uv, names)
        return vulnerabilities(uv, requirements) or status


def normal(name: str) -> str:
    """Return a package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def refused(name: str, licence: str) -> bool:
    """Return whether a part of the licence's name, or of an expression, is not allowed, nor the package excepted."""
    if name in EXCEPTIONS or FROM_NVIDIA.match(name):
        return False
    first_line = licence.strip().partition("\n")[0]  # some hold the whole text
    parts = re.split(r"\s+AND\s+|\s+OR\s+|;", first_line.replace("(", " ").replace(")", " "))
    return not all(part.strip().startswith(tuple(ALLOWED)) for part in parts)


def licences(uv: str, names: set[str]) -> int:
    """Check the licences of the named packages that are installed."""
    command = [uv, "tool", "run", "pip-licenses", "--python", sys.executable, "--format", "json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    known = {normal(entry["Name"]): entry["License"] for entry in found}
    checked = sorted(names & set(known) - OURS)
    bad = [f"{name}: {known[name].strip().splitlines()[0]}" for name in checked if refused(name, known[name])]
    say(f"licences: {len(checked)} dependencies, {len(bad)} with a licence that is not allowed", *bad)
    return 1 if bad else 0


def vulnerabilities(uv: str, requirements: Path) -> int:
    """Ask the service that knows them."""
    command = [uv, "tool", "run", "pip-audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, "--format", "json", "-r", str(requirements)], check=False, capture_output=True, text=True
    )
    try:
        entries = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        say(f"vulnerabilities: not checked, as the service that knows them did not answer: {last}")
        return 1
    bad = [f"{e['name']} {e['version']}: {v['id']}" for e in entries for v in e.get("vulns", [])]
    say(f"vulnerabilities: {len(entries)} dependencies, {len(bad)} known", *bad)
    return 1 if bad else 0


def say(*lines: str) -> None:
    """Write lines to standard output."""
    sys.stdout.write("\n  ".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
