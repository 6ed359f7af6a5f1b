"""Licences and known faults of all that the package needs, from what is installed: `python .ci/dependencies.py`.

Run with the Python of an environment in which the package is installed. Every package that it needs, extras included
where they are there, must bear a licence under which a BSD-3-Clause package may be handed on beside it. Known faults
are asked of pip-audit, which needs a service: where it is not installed, or the service cannot be reached, that is said
and nothing fails.
"""

import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

OPEN = re.compile(
    r"\b(MIT(-\w+)?|BSD|0BSD|Apache|ISC|PSF|Python|Zlib|MPL|Mozilla|Unlicense|CC0|HPND|Historical Permission|LGPL|"
    r"Lesser General Public|Boost|BSL|CNRI)\b",
    re.IGNORECASE,
)
"""MPL and LGPL ask for nothing of a package that imports another as it is."""
STRICT = re.compile(r"\bA?GPL|Affero|GNU General Public", re.IGNORECASE)
"""Ask for their own terms, unless another licence may be chosen."""
VENDOR = re.compile(r"^(nvidia|cuda)-|^triton$")
"""What PyTorch's wheels need on Linux: NVIDIA's runtime, under terms of its own, never handed on with this package."""
LOOKED_AT = {"docutils"}
"""Its licence was read: public domain and BSD, but for one mode of Emacs under the GPL, which Python never loads."""
NAME = re.compile(r"[A-Za-z0-9._-]+")


def needed(root: str) -> dict[str, Distribution]:
    """Distributions that one needs, directly or not, that are installed."""
    found: dict[str, Distribution] = {}
    left = [root]
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform, or an extra that is not installed
        for line in found[name].requires or ():
            # Of others their extras are not asked for; of this package all are.
            if "extra ==" not in line or name == root:
                left.append(NAME.match(line).group())
    return found


def licence(of: Distribution) -> str:
    """What a distribution says of its licence: expression, classifiers, or the first line of its text."""
    facts = of.metadata
    classed = [
        line.rpartition("::")[2].strip() for line in facts.get_all("Classifier") or () if line.startswith("License")
    ]
    words = [facts.get("License-Expression") or "", *classed, *(facts.get("License") or "").splitlines()[:1]]
    return "; ".join(word for word in words if word)


def of_file(of: Distribution) -> str:
    """The first lines of a licence's file, of a distribution that says nothing in its metadata."""
    files = [file for file in of.files or () if re.search(r"licen[cs]e|copying", file.name, re.IGNORECASE)]
    return " ".join(files[0].read_text(encoding="utf-8").split())[:400] if files else ""


def goes(says: str) -> bool:
    """Whether a licence goes with BSD-3-Clause."""
    return bool(OPEN.search(says)) and (" OR " in says or not STRICT.search(says))


def audit() -> None:
    """Print what pip-audit says; fail if it knows a fault."""
    words = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--skip-editable", "--timeout=10"]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    if said.returncode and "Found" not in said.stderr:
        reason = (said.stderr.strip() or "no word").splitlines()[-1]
        print(f"known faults were NOT looked for: pip-audit is not installed or its service not reached ({reason})")
        return
    lines = said.stdout.splitlines()
    unknown = sum("could not be audited" in line for line in lines)
    print("known faults:" if said.returncode else "no known faults", f"({unknown} packages could NOT be asked about)")
    print("\n".join(line for line in lines if said.returncode and "could not be audited" not in line))
    if said.returncode:
        sys.exit("dependencies with known faults; raise their lowest versions")


def main() -> None:
    """See the module."""
    others = {}
    every = needed("factortopy")
    if len(every) < 2:
        sys.exit("factortopy is not installed in this Python")
    for name, of in sorted(every.items()):
        if VENDOR.search(name) or name in LOOKED_AT:
            continue
        says = licence(of)
        if not goes(says or of_file(of)):
            others[name] = says or "says no licence"
    for name, says in others.items():
        print(f"{name}: {says}")
    if others:
        sys.exit(f"{len(others)} of {len(every)} packages bear no licence that is known to go with BSD-3-Clause")
    print(f"{len(every)} packages: their licences go with BSD-3-Clause")
    audit()


if __name__ == "__main__":
    main()
