"""dcmtk's tools of the prefix: carts of another make, for tests of our DICOM."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from feldsher_tools.place import ServiceError, find_place


@dataclass(frozen=True, slots=True)
class Dcmtk:
    """The tools in a folder, with the data dictionary that belongs to them (None: their own)."""

    programs: Path
    dictionary: Path | None

    def run(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end; its output is text, what it says on standard error comes with it."""
        environment = dict(os.environ)
        if self.dictionary is not None:
            environment["DCMDICTPATH"] = str(self.dictionary)
        command = [str(self.programs / name), *map(str, arguments)]
        return subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )


def find() -> Dcmtk | None:
    """Return dcmtk's tools, of the prefix or of this machine; None where there are none."""
    try:
        prefix = find_place().prefix
    except ServiceError:
        prefix = None
    if prefix is not None and (prefix / "bin" / "echoscu").exists():
        return Dcmtk(prefix / "bin", prefix / "usr" / "share" / "dcmtk" / "dicom.dic")
    installed = shutil.which("echoscu")
    return None if installed is None else Dcmtk(Path(installed).parent, None)
