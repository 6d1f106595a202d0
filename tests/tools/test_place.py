from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from feldsher_tools.place import ROOT, Place, ServiceError, find_place


def test_every_program_runs_with_libraries_of_the_prefix_only(place: Place) -> None:
    loader = next((place.prefix / "usr/lib").glob("*/ld-linux-*.so.*"))
    for name in ("postgres", "psql", "pg_basebackup", "mosquitto", "micropython", "dbus-daemon", "bluetoothctl"):
        done = subprocess.run([loader, "--list", place.program(name)], capture_output=True, text=True, check=True)
        libraries = [line.split("=>")[1].split()[0] for line in done.stdout.splitlines() if "=>" in line]
        assert libraries
        assert all(Path(library).is_relative_to(place.prefix) for library in libraries), name


def test_mosquitto_is_new_enough_for_back_pressure(place: Place) -> None:
    done = subprocess.run([place.program("mosquitto"), "-h"], capture_output=True, text=True, check=False)
    version = tuple(int(part) for part in done.stdout.split()[2].split("."))
    assert version >= (2, 0, 21)  # earlier ones ignore MQTT 5's receive maximum (measured on 2.0.11)


def test_a_second_call_changes_nothing(place: Place) -> None:
    before = (place.prefix / "baked").stat().st_mtime_ns
    assert find_place(place.state) == place
    assert (place.prefix / "baked").stat().st_mtime_ns == before


def test_a_missing_program_is_named(place: Place) -> None:
    with pytest.raises(ServiceError, match=r"bin/nonesuch is missing"):
        place.program("nonesuch")


def test_directories_belong_to_the_servers_user_whatever_the_umask(place: Place, server_directory: Path) -> None:
    old = os.umask(0o077)
    try:
        made = replace(place).make_directory(server_directory / "deep" / "data")
    finally:
        os.umask(old)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert made.stat().st_uid == place.uid
    assert made.parent.stat().st_mode & stat.S_IXOTH


def test_where_debian_is_missing_it_says_what_to_do(place: Place, server_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    programs = "bash mkdir id cat mv getent cut setpriv sha256sum readlink flock sed dirname test basename"
    for name in programs.split():
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    environment = {
        "PATH": str(tmp_path / "bin"),
        "FELDSHER_STATE": str(place.make_directory(server_directory / "state")),
    }
    script = ROOT / "tools" / "prefix.sh"
    done = subprocess.run(["/bin/bash", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Debian 12 or 13" in done.stderr
    assert "FELDSHER_DATABASE_URL" in done.stderr
