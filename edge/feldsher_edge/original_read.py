"""Reading originals and sealing them, in a child process: here alone a patient's name is in the gateway's memory."""

from __future__ import annotations

import hashlib
import os
import re
import resource
from pathlib import Path

import msgspec
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import pkcs7
from feldsher_signal import formats
from feldsher_signal.formats import Content, FormatError, lead
from feldsher_signal.record import MISSING

from feldsher_edge.files import write_file
from feldsher_edge.original import LONGEST_S, MOST_SAMPLES, Samples, Seen

MOST_MEMORY = 256 << 20
"""Bytes of memory for one child: what a hostile file can make it use."""
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)


def bound_memory() -> None:
    """Let this process have at most MOST_MEMORY bytes."""
    # its nice value stays: the service's system call filter would end the process for changing it
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


def read(raw: bytes, uid: bytes = b"") -> Seen:
    """Return what an original says; where it cannot be read, the fault. Never raises for what the bytes are."""
    seen = Seen(hashlib.sha256(raw).digest(), len(raw), uid)
    try:
        held = _load(raw)
        return msgspec.structs.replace(
            seen,
            format=held.format,
            recording=_samples(held),
            subject=held.subject,
            recorded_at=held.label.recorded_at.isoformat() if held.label.recorded_at else None,
            maker=held.label.maker,
            model=held.label.model,
            serial=held.label.serial,
            orders=held.label.orders,
        )
    except FormatError as error:
        return msgspec.structs.replace(seen, fault=_impersonal(error))
    except MemoryError:
        return msgspec.structs.replace(seen, fault=f"file: needs more memory than {MOST_MEMORY >> 20} MB")
    except Exception as error:  # whatever a hostile file does to a library: only the kind is told
        return msgspec.structs.replace(seen, fault=f"file: the reader failed ({type(error).__name__})")


def _impersonal(error: FormatError) -> str:
    """Return a fault without what it quotes from the file and without the path: either may be a patient's name."""
    return _QUOTED.sub("'…'", f"{error.where}: {error.what}")


def _load(raw: bytes) -> Content:
    """Read the very bytes that were hashed, from memory: what a cart does to its file meanwhile changes nothing."""
    handle = os.memfd_create("original", os.MFD_CLOEXEC)
    try:
        view = memoryview(raw)
        while view:
            view = view[os.write(handle, view) :]
        return formats.load(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def _samples(held: Content) -> Samples:
    it = held.recording
    if it.n > it.fs * LONGEST_S:
        raise FormatError("", "duration", f"{it.n / it.fs:.0f} s; at most {LONGEST_S:.0f} s are taken")
    if it.samples.size > MOST_SAMPLES:
        raise FormatError("", "samples", f"{it.samples.size} samples; at most {MOST_SAMPLES} are taken")
    around_zero = it.samples
    if any(it.baseline):
        zero = np.array(it.baseline, dtype=np.int64)[:, None]
        around_zero = np.where(it.samples == MISSING, MISSING, it.samples - zero)
        if np.abs(around_zero[it.samples != MISSING]).max(initial=0) >= 1 << 31:
            raise FormatError("", "samples", "are not whole numbers of 32 bits")
    leads = lead.impersonal(it.leads)
    return Samples(leads, it.fs, it.n, np.ascontiguousarray(around_zero, dtype="<i4").tobytes(), it.uv_per_bit)


def seal(raw: bytes, certificate: str) -> bytes:
    """Return bytes sealed to a certificate (PEM): CMS EnvelopedData, AES-256; ValueError where it is none for that."""
    recipient = x509.load_pem_x509_certificate(certificate.encode())
    try:
        builder = pkcs7.PKCS7EnvelopeBuilder().set_data(raw).add_recipient(recipient)
        builder = builder.set_content_encryption_algorithm(algorithms.AES256)
        return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    except TypeError as error:
        raise ValueError(f"originals are sealed to an RSA key: {error}") from error


def keep(raw: bytes, folder: Path, certificate: str, reason: str | None) -> None:
    """Write an original into a folder, sealed, as `<sha256>.p7m`, with `<sha256>.txt` for the reason where given.

    Repeats are harmless: each file appears whole or not at all. OSError, ValueError (no certificate for that).
    """
    name = hashlib.sha256(raw).hexdigest()
    if not (folder / f"{name}.p7m").exists():
        write_file(folder / f"{name}.p7m", seal(raw, certificate))
    if reason is not None:
        write_file(folder / f"{name}.txt", f"{reason}\n".encode())
