"""An update of the gateway's own software: believed, fetched, built beside what runs, tested, then put on trial.

Nothing of an artefact is looked at before its bytes have the SHA-256 that a release key has signed.
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from feldsher_ehr_core import signed

from feldsher_edge.api import Api
from feldsher_edge.signing import verified
from feldsher_edge.slots import Slots

_log = structlog.get_logger("update")
_PIECE = 262_144
_GROWTH = 8
"""Most times its own size that an artefact may take unpacked: wheels are compressed already."""
_SPARE_BYTES = 200_000_000
_BUILD_S = 1800.0
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class UpdateError(Exception):
    """Why an update is not installed; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An update as it came: the manifest's bytes and the signature over them."""

    manifest: bytes
    signature: bytes


def believe(offer: Offer, keys: tuple[str, ...]) -> signed.Manifest:
    """Return the manifest of an offer that a release key has signed; UpdateError otherwise."""
    if not verified(keys, offer.signature, signed.manifest(offer.manifest)):
        raise UpdateError("no release key that this gateway trusts has signed it")
    try:
        return signed.parse_manifest(offer.manifest)
    except signed.ManifestError as error:
        raise UpdateError(str(error)) from error


def check(manifest: signed.Manifest, slots: Slots) -> None:
    """Raise UpdateError where an update is not for this gateway, or not newer than what was kept here before."""
    if manifest.kind != "gateway":
        raise UpdateError(f"it is for a {manifest.kind}, not for a gateway - at `$.kind`")
    if manifest.target not in ("any", platform.machine()):
        raise UpdateError(f"it is for {manifest.target}, and this machine is {platform.machine()} - at `$.target`")
    if manifest.python != PYTHON:
        raise UpdateError(f"it is for Python {manifest.python}, and here is {PYTHON} - at `$.python`")
    if manifest.sequence <= slots.floor():
        raise UpdateError(
            f"sequence {manifest.sequence} is not above {slots.floor()}, which was kept - at `$.sequence`"
        )


def fetch(api: Api, manifest: signed.Manifest, folder: Path) -> Path:
    """Return the artefact's file in `folder`, with the signed SHA-256; an interrupted download is carried on.

    UpdateError where it is not what was signed or the disk has no room, ProvisionError where the cloud fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{manifest.sha256}.part"
    for other in folder.glob("*.part"):
        if other != part:
            other.unlink()  # of an update that is no longer wanted
    start = part.stat().st_size if part.exists() else 0
    if shutil.disk_usage(folder).free < manifest.size - start + _SPARE_BYTES:
        raise UpdateError(f"no room on the disk for {manifest.size} bytes and {_SPARE_BYTES} to spare")
    if start < manifest.size:
        with api.download(f"/gateway/artefact/{manifest.sha256}", start) as response:
            _take(response, part, start if response.status == http.client.PARTIAL_CONTENT else 0, manifest.size)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != manifest.sha256:
        part.unlink()
        raise UpdateError("the artefact is not the one that was signed")
    return part


def _take(response: http.client.HTTPResponse, part: Path, start: int, size: int) -> None:
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while start <= size and (piece := response.read(_PIECE)):
            try:
                file.write(piece)
            except OSError as error:
                raise UpdateError(f"the artefact cannot be stored: {error}") from error
            start += len(piece)


def unpack(artefact: Path, folder: Path, size: int) -> None:
    """Unpack a checked artefact (tar) below `folder`: plain files and folders only, within bounds."""
    room = size * _GROWTH
    try:
        with tarfile.open(artefact, "r:") as archive:
            for member in archive:
                room -= member.size
                if room < 0 or not (member.isfile() or member.isdir()):
                    raise UpdateError(f"{member.name!r}: too large, or neither file nor folder")
                _unpack_one(archive, member, folder)
    except (tarfile.TarError, OSError) as error:
        raise UpdateError(f"the artefact cannot be unpacked: {error}") from error


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file or folder below `folder`, by hand: Debian 12's Python 3.11.2 knows no filter of `extract`."""
    target = folder / member.name
    if Path(member.name).is_absolute() or ".." in Path(member.name).parts:
        raise UpdateError(f"the artefact cannot be unpacked: {member.name!r} is outside of it")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    if content is None or target.is_symlink():
        raise UpdateError(f"the artefact cannot be unpacked: {member.name!r} is no file")
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def build(folder: Path) -> None:
    """Make the environment `env` of a slot from its `wheels` and `requirements.lock`, without any network."""
    run([sys.executable, "-m", "venv", str(folder / "env")])
    run(
        [
            str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
            "--require-hashes", "--disable-pip-version-check", "--find-links", str(folder / "wheels"),
            "--requirement", str(folder / "requirements.lock"),
        ]
    )  # fmt: skip


def self_test(folder: Path, config: Path) -> None:
    """Let the new program look at this gateway's configuration and identity, before it is trusted with a start."""
    run([str(folder / "env" / "bin" / "feldsher-edge"), "check", "--config", str(config)])


def run(command: list[str]) -> None:
    """Run a step of the installation; UpdateError shows the end of what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateError(f"{Path(command[0]).name} failed: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise UpdateError(f"{Path(command[0]).name} {command[1]} ended with code {done.returncode}: {said}")


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs updates into `slots`; `config`: the configuration that the new program is tested with."""

    slots: Slots
    config: Path
    build: Callable[[Path], None] = build
    self_test: Callable[[Path, Path], None] = self_test

    def install(self, offer: Offer, api: Api) -> signed.Manifest:
        """Bring an update to its trial: the program is then to be started anew. What fails is noted, and raised."""
        manifest = believe(offer, self.slots.keys(api.identity.place.release_keys))
        try:
            check(manifest, self.slots)
        except UpdateError as error:
            self.slots.note(manifest.sequence, "refused", str(error))
            raise
        try:
            self.slots.note(manifest.sequence, "working", "fetching")
            artefact = fetch(api, manifest, self.slots.root / "fetched")
            self.slots.note(manifest.sequence, "working", "installing")
            folder = self.slots.empty_spare()
            unpack(artefact, folder, manifest.size)
            artefact.unlink()
            self.build(folder)
            self.self_test(folder, self.config)
        except UpdateError as error:
            self.slots.note(manifest.sequence, "failed", str(error))
            raise
        self.slots.try_out(manifest)
        _log.info("update on trial", version=manifest.version, sequence=manifest.sequence)
        return manifest

    def firmware(self, offer: Offer, api: Api) -> bytes:
        """Return the image of a kit's firmware, with the signed SHA-256; the kit judges board and sequence itself."""
        manifest = believe(offer, self.slots.keys(api.identity.place.release_keys))
        if manifest.kind != "kit":
            raise UpdateError(f"it is for a {manifest.kind}, not for a kit - at `$.kind`")
        artefact = fetch(api, manifest, self.slots.root / "fetched")
        image = artefact.read_bytes()
        artefact.unlink()
        return image
