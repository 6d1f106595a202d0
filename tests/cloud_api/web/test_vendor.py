"""Third-party files are exactly those that npm published, under permissive licences, with the licences' text."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

VENDOR = Path(str(files("feldsher_cloud_api.web"))) / "static" / "vendor"
PERMISSIVE = {"0BSD", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Apache-2.0"}


def _packages() -> list[dict[str, Any]]:
    return json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))["packages"]


def test_every_file_has_the_recorded_hash() -> None:
    for package in _packages():
        for entry in package["files"]:
            assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]


def test_nothing_is_vendored_that_is_not_recorded() -> None:
    recorded = {entry["file"] for package in _packages() for entry in package["files"]}
    assert {p.name for p in VENDOR.iterdir()} == recorded | {"vendor.json"}


def test_licences_are_permissive_and_present() -> None:
    for package in _packages():
        assert package["licence"] in PERMISSIVE
        text = (VENDOR / package["licence_file"]).read_text(encoding="utf-8")
        assert "Permission" in text
        assert "GNU" not in text


def test_versions_are_exact() -> None:
    for package in _packages():
        assert all(part.isdigit() for part in package["version"].split(".")), package["package"]
        assert package["npm_integrity"].startswith("sha512-")
