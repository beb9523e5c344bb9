"""The tree is the package: four rooms, nothing left out of the wheel, nothing imported past its name."""

from __future__ import annotations

import ast
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.e2e.tree import ROOMS, ROOT, build_wheel, tracked


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_four_rooms(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ruche/")}
    expected = {f"ruche/{path.relative_to(ROOT).as_posix()}" for room in ROOMS for path in tracked(f"{room}/*")}
    assert inside == expected


def test_every_package_of_the_tree_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {"ruche." + path.parent.relative_to(ROOT).as_posix().replace("/", ".")
             for room in ROOMS for path in tracked(f"{room}/*__init__.py")}
    assert set(listed) == found


def test_ruche_itself_has_no_file_so_that_others_may_add_to_the_namespace(wheel: Path) -> None:
    assert "ruche/__init__.py" not in zipfile.ZipFile(wheel).namelist()


def test_no_module_imports_a_room_by_its_bare_name() -> None:
    bare = []
    for path in tracked("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else [])
            bare += [f"{path.relative_to(ROOT)}:{node.lineno} {name}" for name in names if name.split(".")[0] in ROOMS]
    assert bare == []


def test_the_lock_files_pin_every_library_by_hash_and_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text()
        assert not re.search(r"https?://|--index|--extra-index|--find-links", text), path.name
        for requirement in re.findall(r"^[a-z0-9].*(?:\n    --hash.*)*", text, re.M):
            assert "==" in requirement, (path.name, requirement)
            assert "--hash=sha256:" in requirement, (path.name, requirement)


def test_nothing_outside_storage_opens_a_database() -> None:
    above = [path for room in ("engine", "actors", "plugins") for path in tracked(f"{room}/*.py")]
    users = [path.relative_to(ROOT).as_posix() for path in above
             if re.search(r"^\s*(import|from) duckdb", path.read_text(encoding="utf-8"), re.M)]
    assert users == []
