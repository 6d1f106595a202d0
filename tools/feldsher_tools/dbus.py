"""A private D-Bus for the virtual org.bluez: bleak's own BlueZ backend runs over it unchanged."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from feldsher_tools.place import Place
from feldsher_tools.process import Process

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class DBus:
    """A private bus: a context manager, or `start`, `stop` and `kill`."""

    def __init__(self, place: Place, *, name: str = "dbus") -> None:
        """Prepare a bus; its socket lies in a short private folder below /tmp (socket paths end at 107 bytes)."""
        self.place, self.name = place, name
        self.directory = Path(tempfile.mkdtemp(prefix="feldsher-dbus-", dir="/tmp"))
        self.process = Process(
            name=name,
            argv=[place.program("dbus-daemon"), f"--config-file={self.directory}/bus.conf", "--nofork", "--nopidfile"],
            log=self.directory / "log",
            pid_file=place.run / f"{name}.pid",
        )

    @property
    def address(self) -> str:
        """The bus's address."""
        return f"unix:path={self.directory}/bus"

    def environment(self) -> dict[str, str]:
        """Return what a process needs to take this bus for the system's, with a bluetoothctl on its PATH."""
        path = f"{self.place.prefix / 'bin'}:{os.environ.get('PATH', os.defpath)}"
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "PATH": path}

    def start(self) -> None:
        """Start the bus and wait until it accepts connections."""
        (self.directory / "bus.conf").write_text(CONFIGURATION.format(socket=self.directory / "bus"))
        self.process.start()
        self.process.wait_ready(self._accepts)

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.directory / "bus")) == 0

    def stop(self) -> None:
        """End the bus and remove its folder."""
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL the bus, as when bluetoothd's bus dies."""
        self.process.kill()
        (self.directory / "bus").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Start the bus."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the bus."""
        self.stop()
