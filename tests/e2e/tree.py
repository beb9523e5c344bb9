"""The checkout as git sees it, and the wheel that it makes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("engine", "actors", "plugins", "storage")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks or would track, as they are in the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def build_wheel(place: Path) -> Path:
    """Build from a copy, so that no build folder appears in the checkout."""
    copy = place / "tree"
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / "dist"), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return next((place / "dist").glob("*.whl"))
