"""Releases of the kit's firmware: a key, what is frozen into the image, the signed update, and a look into one.

python -m feldsher_tools.kit_firmware key release.pem
python -m feldsher_tools.kit_firmware stage --key release.pem --version 1.2.0 --sequence 7 --out build
python -m feldsher_tools.kit_firmware pack --key release.pem --image micropython.bin --out kit-1.2.0.fkit
python -m feldsher_tools.kit_firmware show kit-1.2.0.fkit
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from feldsher_signal import artefact

BOARD = "FELDSHER_KIT_S3"
MARK = re.compile(rb"feldsher kit firmware ([!-~]{1,16}) sequence (\d{1,10}) for (\w+)")
RELEASE = '''"""Which firmware this is, and whose updates it takes: written by feldsher_tools.kit_firmware."""

VERSION = "{version}"
SEQUENCE = {sequence}
BOARD = "{board}"
KEY = {key!r}
MARK = "feldsher kit firmware {version} sequence {sequence} for {board}"
'''


class ReleaseError(Exception):
    """What keeps a release from being made; the text says what to do."""


def make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Write a new release key (PEM, mode 600); ReleaseError where the file is there already."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError as error:
        raise ReleaseError(f"{path}: there already; a lost release key cannot be made again, so it stays") from error
    return key


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the release key of a file; ReleaseError where it is none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseError(f"{path}: no release key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ReleaseError(f"{path}: not on the curve P-256")
    return key


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return x and y of a public key, 32 bytes each: what the kit holds."""
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return point[1:]


def stage(key: ec.EllipticCurvePublicKey, version: str, sequence: int, folder: Path) -> Path:
    """Write release.py, which the image freezes; return its path. ReleaseError where a number cannot be."""
    if not re.fullmatch(r"[0-9A-Za-z.+-]{1,16}", version):
        raise ReleaseError(f"version {version!r}: 1 to 16 letters, digits, dots, plus and minus signs")
    if not 0 < sequence < 2**32:
        raise ReleaseError(f"sequence {sequence}: 1 to 4294967295, and above that of every release before")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "release.py"
    path.write_text(RELEASE.format(version=version, sequence=sequence, board=BOARD, key=public_bytes(key)))
    return path


def sign(key: ec.EllipticCurvePrivateKey, manifest: bytes) -> bytes:
    """Return the signature of a manifest: r and s, 32 bytes each."""
    r, s = decode_dss_signature(key.sign(artefact.signed(manifest), ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def verifies(key: ec.EllipticCurvePublicKey, manifest: bytes, signature: bytes) -> bool:
    """Say whether a signature of a manifest is valid."""
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        key.verify(der, artefact.signed(manifest), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def pack(key: ec.EllipticCurvePrivateKey, image: bytes) -> bytes:
    """Return the signed artefact of an image, which itself says what it is; ReleaseError where it does not."""
    marks = set(MARK.findall(image))
    if len(marks) != 1:
        raise ReleaseError(f"the image says {len(marks)} times what it is, not once: was release.py frozen into it?")
    version, sequence, board = marks.pop()
    if b"-dev" in version:
        raise ReleaseError("the image is one of development: build with FELDSHER_KIT_RELEASE set (see `stage`)")
    if public_bytes(key.public_key()) not in image:
        raise ReleaseError("the image holds another release key: a kit that runs it would refuse all later updates")
    digest = hashlib.sha256(image).digest()
    manifest = artefact.Manifest(board.decode(), version.decode(), int(sequence), len(image), digest).pack()
    return artefact.pack(sign(key, manifest), manifest, image)


def unpack(data: bytes) -> tuple[bytes, bytes, artefact.Manifest]:
    """Return signature, signed bytes and manifest of an artefact whose image is whole; ReleaseError otherwise."""
    try:
        end = artefact.head_length(data[: artefact.HEAD].ljust(artefact.HEAD, b"\0"))
        signature, signed = data[: artefact.SIGNATURE], data[artefact.HEAD : end]
        manifest = artefact.parse_manifest(signed)
    except artefact.ArtefactError as error:
        raise ReleaseError(f"no update of a kit: {error}") from error
    image = data[end:]
    if len(image) != manifest.size or hashlib.sha256(image).digest() != manifest.sha256:
        raise ReleaseError("its image is damaged or cut short")
    return signature, signed, manifest


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("key", help="make a release key").add_argument("key", type=Path)
    staging = commands.add_parser("stage", help="write what the image freezes: version, sequence, public key")
    staging.add_argument("--key", type=Path, required=True, help="the release key (PEM)")
    staging.add_argument("--version", required=True, help="for people, at most 16 characters")
    staging.add_argument("--sequence", type=int, required=True, help="above that of every release before")
    staging.add_argument("--out", type=Path, required=True, help="folder; FELDSHER_KIT_RELEASE must name it")
    packing = commands.add_parser("pack", help="sign an image")
    packing.add_argument("--key", type=Path, required=True, help="the release key (PEM)")
    packing.add_argument("--image", type=Path, required=True, help="micropython.bin: the application alone")
    packing.add_argument("--out", type=Path, required=True, help="the update, by custom *.fkit")
    showing = commands.add_parser("show", help="say what an update holds")
    showing.add_argument("file", type=Path)
    showing.add_argument("--key", type=Path, help="the release key: is it signed by this one?")
    return parser.parse_args()


def _show(file: Path, key: Path | None) -> str:
    signature, signed, manifest = unpack(file.read_bytes())
    text = f"{manifest.board} {manifest.version}, sequence {manifest.sequence}, {manifest.size} bytes"
    if key is None:
        return f"{text}; signature not looked at (--key)"
    valid = verifies(load_key(key).public_key(), signed, signature)
    return f"{text}; {'signed by this key' if valid else 'NOT signed by this key'}"


def main() -> int:
    """Run a command; return its exit code."""
    arguments = _arguments()
    try:
        if arguments.command == "key":
            make_key(arguments.key)
            print(f"{arguments.key}: keep it where no network reaches; whoever holds it writes your kits' firmware")
        elif arguments.command == "stage":
            key = load_key(arguments.key).public_key()
            print(stage(key, arguments.version, arguments.sequence, arguments.out))
        elif arguments.command == "pack":
            arguments.out.write_bytes(pack(load_key(arguments.key), arguments.image.read_bytes()))
            print(_show(arguments.out, arguments.key))
        else:
            print(_show(arguments.file, arguments.key))
    except (ReleaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
