"""What the emulated gateway gets: the packages it needs, by the lock's hashes, and the tests that it alone can run."""

from pathlib import Path

import pytest
from feldsher_tools import arm64
from feldsher_tools.arm64 import closure, here, locked
from feldsher_tools.place import ROOT, ServiceError


def test_a_gateway_needs_its_drivers_and_no_cloud():
    names = set(closure(arm64.WANTED))
    assert {"bleak", "dbus-fast", "numba", "llvmlite", "msgspec", "pytest", "bumble", "ecgdatakit"} <= names
    assert names.isdisjoint({"fastapi", "psycopg", "ortools", "playwright"})


def test_every_package_is_locked_with_its_hash():
    lock = (ROOT / "requirements.lock").read_text()
    some = locked(lock, {"numba", "typing-extensions"})
    assert [line.partition("==")[0] for line in some.splitlines() if "==" in line] == ["numba", "typing-extensions"]
    assert some.count("--hash=sha256:") > 2
    assert "\nnumpy==" not in some


def test_what_needs_servers_or_the_cloud_is_left_out(tmp_path: Path):
    (tmp_path / "test_pure.py").write_text("from feldsher_edge.ble import racp\ndef test(): pass\n")
    (tmp_path / "test_cloud.py").write_text("import feldsher_cloud_api.db\n")
    (tmp_path / "test_bus.py").write_text("def test(dbus: object): pass\n")
    alone, others = here(tmp_path)
    assert ([path.name for path in alone], others) == (["test_pure.py"], ["test_bus.py", "test_cloud.py"])


def test_without_the_archive_it_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unavailable(*_: object, **__: object) -> Path:
        raise ServiceError("no network")

    monkeypatch.setattr(arm64, "fetch", unavailable)
    assert arm64.main(["uv"]) == 0
    assert "SKIPPED: no arm64 root: no network" in capsys.readouterr().err
