"""A gateway's identity on disk: key, certificate and where its cloud is; replaced by a successor without a bad moment.

`identity` is in use. `identity.next` is being made: it is complete when its `gateway.json` is there, which is written
last. `identity.previous` is kept while its successor has not connected yet. Every step is one rename, and `settle` puts
in order what an interruption left, so a power cut at any moment leaves an identity that works.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from feldsher_edge.files import rename, write_file

Standing = Literal["none", "settled", "trial"]
"""`trial`: a renewed identity is in use and has not connected yet; the one before it is kept."""


class ProvisionError(Exception):
    """Why there is no identity, or the cloud could not be asked; the text says what the technician can do."""


class Place(msgspec.Struct, frozen=True):
    """What is stored beside key and certificates: who this gateway is, where its cloud is, whose word it takes.

    `word_keys` sign times, configurations and the command to wipe; `release_keys` sign updates, and only they do.
    `originals`: the cloud's certificate (PEM) to which files of foreign cardiographs are sealed. `claimed_ms`: when the
    gateway was claimed, by the cloud's clock: commands to wipe that are older were for who had its name before.
    """

    gateway: str
    mqtt_host: str
    mqtt_port: int
    api_url: str = ""
    word_keys: tuple[str, ...] = ()
    release_keys: tuple[str, ...] = ()
    originals: str = ""
    claimed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A stored identity: its facts and the files of key and certificates."""

    place: Place
    ca: Path
    certificate: Path
    key: Path

    def shown(self) -> x509.Certificate:
        """Return the certificate; ProvisionError where it is damaged."""
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise ProvisionError(
                f"{self.certificate}: damaged ({error}); claim the gateway anew with --force"
            ) from error

    def private(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key; ProvisionError where it is damaged."""
        try:
            key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ProvisionError(f"{self.key}: damaged ({error}); claim the gateway anew with --force") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ProvisionError(f"{self.key}: not a key of ours; claim the gateway anew with --force")
        return key

    def due(self) -> datetime:
        """Return when the certificate is to be renewed: at two thirds of its life."""
        shown = self.shown()
        return shown.not_valid_before_utc + (shown.not_valid_after_utc - shown.not_valid_before_utc) * 2 / 3

    def left(self, now: datetime) -> timedelta:
        """Return how long the certificate is still good, negative where it has ended."""
        return self.shown().not_valid_after_utc - now


def at(state: Path) -> Path:
    """Return the directory of the identity in use."""
    return state / "identity"


def _next(state: Path) -> Path:
    return state / "identity.next"


def _previous(state: Path) -> Path:
    return state / "identity.previous"


def load_identity(state: Path) -> Identity | None:
    """Return the identity in a state directory, or None where there is none; ProvisionError if damaged."""
    settle(state)
    return _load(at(state))


def _load(directory: Path) -> Identity | None:
    if not directory.exists():
        return None
    try:
        place = msgspec.json.decode((directory / "gateway.json").read_bytes(), type=Place)
    except (OSError, msgspec.DecodeError) as error:
        raise ProvisionError(f"{directory}: damaged ({error}); claim the gateway anew with --force") from error
    return Identity(place, directory / "ca.pem", directory / "certificate.pem", directory / "key.pem")


def load_previous(state: Path) -> Identity | None:
    """Return the identity that is kept while its successor is on trial."""
    return _load(_previous(state))


def settle(state: Path) -> Standing:
    """Finish what an interruption left half done, and return how the identity stands."""
    current, following, previous = at(state), _next(state), _previous(state)
    shutil.rmtree(state / "identity.gone", ignore_errors=True)
    if not current.exists():
        if (following / "gateway.json").exists():
            rename(following, current)
        elif previous.exists():
            rename(previous, current)
        else:
            return "none"
    return "trial" if previous.exists() else "settled"


def next_key(state: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key of the identity in the making, kept from an interrupted attempt or made and stored now."""
    directory = _next(state)
    kept = Identity(Place("", "", 0), directory / "ca.pem", directory / "certificate.pem", directory / "key.pem")
    if kept.key.exists():
        return kept.private()
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    no_password = serialization.NoEncryption()
    write_file(kept.key, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return key


def drop_next(state: Path) -> None:
    """Forget an identity in the making."""
    shutil.rmtree(_next(state), ignore_errors=True)


def write_next(state: Path, certificate_pem: str, ca_pem: str, place: Place) -> None:
    """Complete the identity in the making; from its last file on it may be put in use."""
    directory = _next(state)
    write_file(directory / "certificate.pem", certificate_pem.encode())
    write_file(directory / "ca.pem", ca_pem.encode())
    write_file(directory / "gateway.json", msgspec.json.encode(place))


def is_next_complete(state: Path) -> bool:
    """Return whether an identity waits to be put in use."""
    return (_next(state) / "gateway.json").exists()


def switch(state: Path) -> None:
    """Put the next identity in use; the present one is kept until `keep`, or comes back by `back`."""
    rename(at(state), _previous(state))
    rename(_next(state), at(state))


def back(state: Path) -> None:
    """Use the previous identity again; the one that did not connect waits as the next, to be tried later."""
    rename(at(state), _next(state))
    rename(_previous(state), at(state))


def keep(state: Path) -> None:
    """Forget the previous identity: its successor has connected."""
    if _previous(state).exists():
        rename(_previous(state), state / "identity.gone")
        shutil.rmtree(state / "identity.gone", ignore_errors=True)


def replace(state: Path) -> None:
    """Put the next identity in use after a claim; a former one is moved aside and kept for the technician."""
    keep(state)
    if at(state).exists():
        n = 1
        while (aside := state / f"identity.old-{n}").exists():
            n += 1
        rename(at(state), aside)
    rename(_next(state), at(state))


def request_pem(key: ec.EllipticCurvePrivateKey, gateway: str) -> str:
    """Return the certificate request (PEM) for a key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
