"""A virtual machine with a real Linux kernel and the real `bluetoothd`: `run_tests` runs pytest inside it.

Its root is this machine's own, read only, with a layer in memory above; so the tests, their environment and the private
prefix are there as they are. Kernel, modules and qemu come from Debian's archive. The processor is qemu's interpreter
(TCG): a /dev/kvm that is there is not always one that works, and a few minutes are enough.
"""

from __future__ import annotations

import gzip
import lzma
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from feldsher_tools.dbus import CONFIGURATION
from feldsher_tools.place import ROOT, Place, ServiceError, fetch, find_place

PACKAGES = ("qemu-system-x86", "linux-image-amd64", "busybox-static")
# The root file system over 9p with a writable layer; a virtual Bluetooth controller; what pairing needs to compute.
MODULES = (
    "9pnet_virtio", "9p", "overlay", "hci_vhci", "uhid", "ecdh_generic", "cmac", "ecb", "algif_hash", "algif_skcipher",
)  # fmt: skip
TIMEOUT_S = 1800
_BUS = "/run/feldsher-bus"

INIT = """\
#!/bin/busybox sh
export PATH=/bin
for d in proc sys dev ro rw new; do /bin/busybox mkdir -p /$d; done
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for m in /modules/*; do /bin/busybox insmod $m || echo "module $m"; done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /ro
/bin/busybox mount -t tmpfs tmpfs /rw
/bin/busybox mkdir /rw/upper /rw/work
/bin/busybox mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new
for d in proc sys dev; do /bin/busybox mount --move /$d /new/$d; done
exec /bin/busybox switch_root /new {guest}
"""
GUEST = """\
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
mount -t tmpfs tmpfs /run; mkdir -p /dev/pts /dev/shm /run/out
mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L out /run/out
mount -t tmpfs tmpfs /var/lib; mkdir -p /var/lib/bluetooth
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null
date -u -s @{now} >/dev/null
{prefix}/bin/dbus-daemon --config-file=/run/out/bus.conf --fork --nopidfile
export DBUS_SYSTEM_BUS_ADDRESS=unix:path={bus}
{loader} --library-path {libraries} {prefix}/usr/libexec/bluetooth/bluetoothd -n -d >/run/out/bluetoothd.log 2>&1 &
export PATH={prefix}/bin:$PATH {environment}
cd {root}
{command} >/dev/ttyS0 2>&1
echo $? >/run/out/code
sync
echo o >/proc/sysrq-trigger
while :; do :; done
"""


def run_tests(arguments: list[str]) -> int:
    """Run pytest with `arguments` inside the machine and return its exit code; 0 with the reason where none can run."""
    if platform.machine() != "x86_64":
        print("SKIPPED: no virtual machine: it is made of x86-64 programs", file=sys.stderr)
        return 0
    try:
        place = find_place()
        files = fetch("vm", "amd64", PACKAGES, state=place.state)
    except ServiceError as error:
        print(f"SKIPPED: no virtual machine: {error}", file=sys.stderr)
        return 0
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp=/run/pytest", *arguments]
    return run(place, files, command)


def run(place: Place, files: Path, command: list[str]) -> int:
    """Run a command inside the machine, its output on ours, and return its exit code; ServiceError where it fails."""
    with tempfile.TemporaryDirectory(prefix="feldsher-vm-") as name:
        out = Path(name)
        (out / "bus.conf").write_text(CONFIGURATION.format(socket=_BUS))
        guest = out / "guest"
        guest.write_text(_guest(place, command))
        guest.chmod(0o755)
        (out / "initrd").write_bytes(gzip.compress(b"".join(initrd(files, INIT.format(guest=guest))), 1))
        qemu = _qemu(files, out)
        done = subprocess.run(qemu, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
        code = out / "code"
        if done.returncode or not code.exists():
            log = out / "bluetoothd.log"
            end = log.read_text(errors="replace")[-2000:] if log.exists() else "the guest did not start"
            raise ServiceError(f"the virtual machine ended with {done.returncode} and no result: {end}")
        keep = os.environ.get("FELDSHER_VM_LOG")
        if keep:
            Path(keep).write_bytes((out / "bluetoothd.log").read_bytes())
        return int(code.read_text())


def _guest(place: Place, command: list[str]) -> str:
    libraries = place.prefix / "usr/lib/x86_64-linux-gnu"
    wanted = ("PYTHONPATH", "FELDSHER_STATE", "NUMBA_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")
    environment = " ".join(f"{name}={shlex.quote(os.environ[name])}" for name in wanted if name in os.environ)
    return GUEST.format(
        bus=_BUS,
        prefix=place.prefix,
        loader=libraries / "ld-linux-x86-64.so.2",
        libraries=f"{libraries}:{libraries}/systemd",
        environment=environment,
        root=ROOT,
        command=shlex.join(command),
        now=int(time.time()),
    )


def _qemu(files: Path, out: Path) -> list[str]:
    libraries = files / "usr/lib/x86_64-linux-gnu"
    kernel = max((files / "boot").glob("vmlinuz-*"))
    share = [argument for name in ("qemu", "seabios") for argument in ("-L", str(files / "usr/share" / name))]
    drives = [
        argument
        for tag, path, options in (("root", Path("/"), "readonly=on,multidevs=remap"), ("out", out, "readonly=off"))
        for argument in ("-virtfs", f"local,path={path},mount_tag={tag},security_model=none,{options}")
    ]
    return [
        str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries),
        str(files / "usr/bin/qemu-system-x86_64"), *share,
        "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G", "-no-reboot", "-display", "none",
        "-nodefaults", "-nic", "none", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(out / "initrd"),
        "-append", "console=ttyS0 quiet panic=-1 loglevel=3", *drives,
    ]  # fmt: skip


def initrd(files: Path, init: str) -> Iterator[bytes]:
    """Yield an archive (cpio, "newc") of a shell, the kernel's modules in the order of their loading, and `init`."""
    yield _entry("bin", 0o040755)
    yield _entry("modules", 0o040755)
    yield _entry("bin/busybox", 0o100755, (files / "usr/bin/busybox").read_bytes())
    for number, (name, content) in enumerate(modules(files, MODULES).items()):
        yield _entry(f"modules/{number:03d}-{name}.ko", 0o100644, content)
    yield _entry("init", 0o100755, init.encode())
    yield _entry("TRAILER!!!", 0)


def _entry(name: str, mode: int, content: bytes = b"") -> bytes:
    # inode, mode, user, group, links, time, size, two device numbers twice, length of the name, no checksum
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def modules(files: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return modules with what they depend on, each after that; what is built into the kernel is left out."""
    there = {path.name.partition(".")[0].replace("-", "_"): path for path in files.glob("usr/lib/modules/**/*.ko.xz")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in there:
            return
        content = lzma.decompress(there[name].read_bytes())
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in depends.group(1).decode().split(",") if depends else ():
            add(needed.replace("-", "_"))
        found[name] = content

    for name in names:
        add(name)
    return found
