"""The house keeps its shape: shelves, tracked files, the map, the lock."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SHELVES = ("signal", "edge", "ingest", "cloud_api", "ehr_core", "tools")
TESTS = ("tests", "hardware_tests", "benchmarks")
LOCK = (ROOT / "requirements.lock").read_text()
PEERS_LOCK = (ROOT / "requirements-peers.lock").read_text()
# joined here, so that this file itself names no host
REGISTRIES = [
    f"{name}.{top}"
    for name, top in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("deb.debian", "org"),
        ("security.debian", "org"),
        ("snapshot.debian", "org"),
        ("conda", "anaconda.org"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("docker", "io"),
        ("jsdelivr", "net"),
        ("unpkg", "com"),
        ("cdnjs.cloudflare", "com"),
    ]
]
MACHINE_PATHS = re.compile(r"/work/(?:main|shared)|(?<![\w/$}.\"*])/(?:root|home/\w+)/\w")


def tracked() -> list[Path]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT CHECKED: tracked files are unknown, this is no git clone: {done.stderr.strip()}")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def modules(shelf: str) -> list[Path]:
    return [path for path in tracked() if path.is_relative_to(ROOT / shelf) and path.suffix == ".py"]


@pytest.mark.parametrize("shelf", SHELVES)
def test_a_shelf_is_no_package(shelf: str) -> None:
    assert not (ROOT / shelf / "__init__.py").exists(), f"{shelf}/__init__.py would shadow other modules: remove it"


@pytest.mark.parametrize("shelf", TESTS)
def test_tests_are_no_packages(shelf: str) -> None:
    assert [path for path in modules(shelf) if path.name == "__init__.py"] == []


def test_the_standard_librarys_signal_is_found_from_the_root() -> None:
    subprocess.run([sys.executable, "-c", "import signal; signal.SIGTERM"], cwd=ROOT, check=True)


def test_each_shelf_holds_one_package_of_its_name() -> None:
    for shelf in SHELVES:
        packages = [path.parent.name for path in (ROOT / shelf).glob("*/__init__.py")]
        assert packages == [f"feldsher_{shelf}"], shelf


def test_no_tracked_file_names_a_registry_or_a_path_of_a_machine() -> None:
    found: list[str] = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRIES if host in text]
            found += [f"{path.relative_to(ROOT)}: {hit}" for hit in MACHINE_PATHS.findall(text)]
    assert found == []


def test_the_map_names_every_module_and_nothing_else() -> None:
    named = set(
        re.findall(r"^\| `([\w/]+\.(?:py|sql))` \|", (ROOT / "docs" / "map.md").read_text(), flags=re.MULTILINE)
    )
    there = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in {".py", ".sql"} and path.name != "__init__.py" and path.relative_to(ROOT).parts[0] in SHELVES
    }
    assert there - named == set(), "docs/map.md lacks these; python -m feldsher_tools.map writes it"
    assert [name for name in named if not (ROOT / name).is_file()] == [], "docs/map.md names what is not there"


@pytest.mark.parametrize("lock", [LOCK, PEERS_LOCK], ids=["product", "peers"])
def test_every_requirement_of_the_lock_has_hashes_and_no_address(lock: str) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", lock.split("\n", 2)[2])
    assert len(entries) > 40
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?:|file:|--(?:extra-)?index-url|--find-links", lock)


def pinned(lock: str) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", lock, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def asked(group: str) -> list[str]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    out = [*project["project"]["dependencies"], *project["dependency-groups"][group]]
    for extra in project["project"]["optional-dependencies"].values():
        out += extra if group == "dev" else []
    return out


@pytest.mark.parametrize(("lock", "group"), [(LOCK, "dev"), (PEERS_LOCK, "peers")], ids=["product", "peers"])
def test_the_lock_matches_pyproject(lock: str, group: str) -> None:
    versions = pinned(lock)
    for requirement in map(Requirement, asked(group)):
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement.name} is not in the lock: lock again"
        assert all(requirement.specifier.contains(version) for version in found), requirement.name


def test_peers_run_on_the_products_own_versions() -> None:
    product, peers = pinned(LOCK), pinned(PEERS_LOCK)
    assert {name: peers[name] for name in peers.keys() & product.keys()} == {
        name: product[name] for name in peers.keys() & product.keys()
    }


def test_the_lock_names_nothing_that_nobody_asked_for() -> None:
    for entry in re.split(r"\n(?=[a-zA-Z0-9])", LOCK.split("\n", 2)[2]):
        assert "# via" in entry, entry.splitlines()[0]
