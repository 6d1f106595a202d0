"""What the machine starts with: an archive that the kernel reads, modules in the order of what they need."""

import lzma
import shutil
import subprocess
from pathlib import Path

import pytest
from feldsher_tools import virtual_machine
from feldsher_tools.place import ServiceError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A Debian root with a shell and three modules, of which the first needs the others."""
    modules = tmp_path / "usr/lib/modules/6/kernel"
    modules.mkdir(parents=True)
    for name, needs in (("hci-vhci", "bluetooth"), ("bluetooth", "rfkill,built_in"), ("rfkill", "")):
        (modules / f"{name}.ko.xz").write_bytes(lzma.compress(f"\0depends={needs}\0{name}".encode()))
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/busybox").write_bytes(b"shell")
    return tmp_path


def test_each_module_comes_after_what_it_needs(files: Path):
    assert list(virtual_machine.modules(files, ("hci_vhci",))) == ["rfkill", "bluetooth", "hci_vhci"]


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio here to read it back")
def test_the_archive_is_one_that_cpio_reads(files: Path, tmp_path: Path):
    archive = b"".join(virtual_machine.initrd(files, "#!/bin/busybox sh\n"))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=out, check=True)
    assert (out / "bin/busybox").read_bytes() == b"shell"
    assert (out / "init").stat().st_mode & 0o111
    assert (out / "init").read_text() == "#!/bin/busybox sh\n"


def test_without_the_archive_it_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unavailable(*_: object, **__: object) -> Path:
        raise ServiceError("no network")

    monkeypatch.setattr(virtual_machine, "find_place", unavailable)
    assert virtual_machine.run_tests([]) == 0
    assert "SKIPPED: no virtual machine: no network" in capsys.readouterr().err
