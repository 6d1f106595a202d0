"""The certificate authority of one installation: it makes every broker, service and gateway certificate.

Keys are EC P-256. The authority's key is a file of mode 600 in a directory of mode 700 under `.state/secrets`. A
gateway's common name is its broker user, so only this module decides who may speak in whose name. Time is an argument.
"""

from __future__ import annotations

import fcntl
import ipaddress
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from feldsher_ehr_core.ids import gateway_id, is_canary

from feldsher_cloud_api.secret import write_secret

Clock = Callable[[], datetime]

CA_DAYS = 3650
LEAF_DAYS = 397
"""The longest life that browsers accept of a server's certificate is 398 days (CA/Browser Forum SC-31)."""
GATEWAY_DAYS = 30
"""A gateway's certificate; it is renewed after 20 days, so ten are left for outages (docs/decisions/0010)."""
CRL_DAYS = 3650
"""Long, because brokers refuse everybody when the list has run out; each revocation writes a new one."""
_BACKDATE = timedelta(minutes=5)
_CERTIFICATE, _KEY, _CRL, _CRL_LOCK = "ca.pem", "ca.key", "crl.pem", "crl.lock"


class CaError(Exception):
    """What the authority refuses to do, and why."""


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate with its key and the authority it is checked against, as PEM."""

    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write `<name>.pem` and `<name>.key`, mode 600, and return both paths."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        write_secret(certificate, self.certificate_pem)
        write_secret(key, self.key_pem)
        return certificate, key


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """Issues and revokes certificates; made by `create`, `load` or `open_or_create`."""

    directory: Path
    clock: Clock
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """SHA-256 of the authority's certificate (DER), hexadecimal: what a claim pins."""
        return pin(self.certificate_pem)

    @property
    def crl_path(self) -> Path:
        """The file with the list of revoked certificates, for the broker."""
        return self.directory / _CRL

    def issue_server(self, hosts: Iterable[str], *, days: int = LEAF_DAYS) -> Credentials:
        """Return a certificate for a server that answers under `hosts` (names or addresses)."""
        names = list(hosts)
        if not names:
            raise CaError("hosts: a server certificate needs at least one name or address")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(names[0], key.public_key(), self.clock() - _BACKDATE, self.clock() + timedelta(days=days))
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(h) for h in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return self._credentials(builder, key)

    def issue_client(
        self, cn: str, *, not_after: datetime | None = None, not_before: datetime | None = None
    ) -> Credentials:
        """Return a certificate whose common name `cn` is a broker user; it may be made expired on purpose (tests)."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._credentials(self._client(cn, key.public_key(), not_before, not_after), key)

    def sign_csr(self, csr_pem: bytes, cn: str) -> bytes:
        """Return the client certificate (PEM) for a gateway's own key; the request's subject is not believed.

        CaError where `cn` cannot name a gateway (a service's name: nobody claims a service's rights) or is a canary's,
        the request is not PEM, its signature is wrong, or its key is not EC P-256.
        """
        try:
            gateway_id(cn)
        except ValueError as error:
            raise CaError(str(error)) from error
        if is_canary(cn):
            raise CaError(f"{cn}: this name is the test alarms' own")
        try:
            request = x509.load_pem_x509_csr(csr_pem)
        except ValueError as error:
            raise CaError(f"csr: not a certificate request in PEM: {error}") from error
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise CaError("csr: the key is not EC P-256")
        if not request.is_signature_valid:
            raise CaError("csr: its signature does not belong to its key")
        until = self.clock() + timedelta(days=GATEWAY_DAYS)
        certificate = self._client(cn, key, None, until).sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)

    def revoke(self, serial: int) -> None:
        """Add a certificate's serial number to the revocation list; repeating it is harmless."""
        with self._crl_lock():
            revoked = {entry.serial_number: entry.revocation_date_utc for entry in self._revoked()}
            revoked.setdefault(serial, self.clock())
            self.write_crl(revoked)

    @contextmanager
    def _crl_lock(self) -> Generator[None]:
        # of two revocations at once, in whatever threads and processes, neither may undo the other
        with (self.directory / _CRL_LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            yield

    def is_revoked(self, serial: int) -> bool:
        """Return whether a serial number is on the revocation list."""
        return any(entry.serial_number == serial for entry in self._revoked())

    def _revoked(self) -> list[x509.RevokedCertificate]:
        crl = x509.load_pem_x509_crl(self.crl_path.read_bytes())
        return list(crl)

    def write_crl(self, revoked: dict[int, datetime]) -> None:
        """Replace the revocation list by these serial numbers and times of revocation."""
        now = self.clock()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - _BACKDATE).next_update(now + timedelta(days=CRL_DAYS))
        for serial, at in revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(self.key, hashes.SHA256())
        write_secret(self.crl_path, crl.public_bytes(serialization.Encoding.PEM))

    def _client(
        self, cn: str, key: ec.EllipticCurvePublicKey, not_before: datetime | None, not_after: datetime | None
    ) -> x509.CertificateBuilder:
        start = not_before or self.clock() - _BACKDATE
        builder = self._leaf(cn, key, start, not_after or start + timedelta(days=LEAF_DAYS))
        return builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)

    def _leaf(self, cn: str, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime) -> x509.CertificateBuilder:
        if end <= start:
            raise CaError(f"not_after: {end.isoformat()} is not after {start.isoformat()}")
        builder = x509.CertificateBuilder().subject_name(_name(cn)).issuer_name(self.certificate.subject)
        builder = builder.public_key(key).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(authority, critical=False)

    def _credentials(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Credentials:
        certificate = builder.sign(self.key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Credentials(pem, _key_pem(key), self.certificate_pem)


def create(directory: Path, clock: Clock = utc_now) -> CertificateAuthority:
    """Make a new authority in `directory`; FileExistsError where there is one already."""
    if (directory / _KEY).exists():
        raise FileExistsError(f"{directory / _KEY}: there is an authority here already")
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("feldsher certificate authority")
    start = clock() - _BACKDATE
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = CertificateAuthority(directory, clock, builder.sign(key, hashes.SHA256()), key)
    write_secret(directory / _CERTIFICATE, authority.certificate_pem)
    authority.write_crl({})
    # The key comes last: a directory with a key is complete, and an interrupted run can simply be repeated.
    write_secret(directory / _KEY, _key_pem(key))
    return authority


def load(directory: Path, clock: Clock = utc_now) -> CertificateAuthority:
    """Return the authority kept in `directory`; CaError where there is none or its key is not its certificate's."""
    try:
        key = serialization.load_pem_private_key((directory / _KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((directory / _CERTIFICATE).read_bytes())
    except FileNotFoundError as error:
        raise CaError(f"{error.filename}: there is no authority here; `feldsher-cloud ca init` makes one") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CaError(f"{directory}: the key does not belong to the certificate")
    return CertificateAuthority(directory, clock, certificate, key)


def open_or_create(directory: Path, clock: Clock = utc_now) -> CertificateAuthority:
    """Return the authority of `directory`, made first where there is none."""
    return load(directory, clock) if (directory / _KEY).exists() else create(directory, clock)


def pin(certificate_pem: bytes) -> str:
    """Return the SHA-256 of a certificate's DER form, hexadecimal."""
    return x509.load_pem_x509_certificate(certificate_pem).fingerprint(hashes.SHA256()).hex()


def serial(certificate_pem: bytes) -> int:
    """Return a certificate's serial number."""
    return x509.load_pem_x509_certificate(certificate_pem).serial_number


def ends(certificate: Path) -> datetime:
    """Return when the certificate in a file (PEM) ends."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _name(cn: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
