"""What the machine starts with: an archive that the kernel reads, modules in the order of what they need."""

import lzma
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


def read(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """The mode and content of every file of an archive (cpio(5), "New ASCII Format")."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while at < len(archive):
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        content = -(-(at + 110 + fields[11]) // 4) * 4
        found[name] = (fields[1], archive[content : content + fields[6]])
        at = -(-(content + fields[6]) // 4) * 4
    return found


def test_the_archive_is_one_that_the_kernel_reads(files: Path):
    found = read(b"".join(virtual_machine.initrd(files, "#!/bin/busybox sh\n")))
    assert list(found)[-1] == "TRAILER!!!"
    assert found["bin/busybox"] == (0o100755, b"shell")
    assert found["init"] == (0o100755, b"#!/bin/busybox sh\n")
    assert found["modules"][0] == 0o040755
    names = [name for name in found if name.endswith(".ko")]
    assert names == sorted(names)


def test_without_the_archive_it_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unavailable(*_: object, **__: object) -> Path:
        raise ServiceError("no network")

    monkeypatch.setattr(virtual_machine, "find_place", unavailable)
    assert virtual_machine.run_tests([]) == 0
    assert "SKIPPED: no virtual machine: no network" in capsys.readouterr().err
