"""The certificate authority, checked against the ssl module where that is possible."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from feldsher_cloud_api import ca


@pytest.fixture
def authority(tmp_path: Path) -> ca.CertificateAuthority:
    return ca.create(tmp_path / "ca")


def _csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, cn: str = "whatever") -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def test_files_are_private(authority: ca.CertificateAuthority) -> None:
    assert authority.directory.stat().st_mode & 0o777 == 0o700
    for name in ("ca.key", "ca.pem", "crl.pem"):
        assert (authority.directory / name).stat().st_mode & 0o777 == 0o600


def test_load_returns_what_create_made(authority: ca.CertificateAuthority) -> None:
    assert ca.load(authority.directory).pin == authority.pin
    assert ca.open_or_create(authority.directory).pin == authority.pin
    with pytest.raises(FileExistsError):
        ca.create(authority.directory)


def test_load_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ca.CaError, match="ca init"):
        ca.load(tmp_path)


def test_foreign_key_is_noticed(authority: ca.CertificateAuthority, tmp_path: Path) -> None:
    other = ca.create(tmp_path / "other")
    (authority.directory / "ca.key").write_bytes((other.directory / "ca.key").read_bytes())
    with pytest.raises(ca.CaError, match="does not belong"):
        ca.load(authority.directory)


def test_csr_is_signed_under_the_name_that_we_choose(authority: ca.CertificateAuthority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = x509.load_pem_x509_certificate(authority.sign_csr(_csr(key, "root"), "gateway-1"))
    assert [a.value for a in certificate.subject] == ["gateway-1"]
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("name", ["ingest.0", "ingest.tool", "cloud.worker", "a/b", "#", "+", "", "Gw", "gw-1\n"])
def test_csr_is_signed_for_gateway_names_only(authority: ca.CertificateAuthority, name: str) -> None:
    with pytest.raises(ca.CaError, match="gateway id"):
        authority.sign_csr(_csr(ec.generate_private_key(ec.SECP256R1())), name)


def test_csr_with_another_kind_of_key_or_no_csr_is_refused(authority: ca.CertificateAuthority) -> None:
    with pytest.raises(ca.CaError, match="P-256"):
        authority.sign_csr(_csr(rsa.generate_private_key(65537, 2048)), "g")
    with pytest.raises(ca.CaError, match="PEM"):
        authority.sign_csr(b"not a request", "g")


def test_revocation_list_grows_and_is_signed(authority: ca.CertificateAuthority) -> None:
    first, second = (ca.serial(authority.issue_client(f"g{i}").certificate_pem) for i in range(2))
    authority.revoke(first)
    authority.revoke(second)
    authority.revoke(first)
    crl = x509.load_pem_x509_crl(authority.crl_path.read_bytes())
    assert {entry.serial_number for entry in crl} == {first, second}
    assert crl.is_signature_valid(authority.key.public_key())
    assert authority.is_revoked(first)
    assert not authority.is_revoked(first + 1)


def test_of_many_revocations_at_once_none_is_lost(authority: ca.CertificateAuthority) -> None:
    # threads and processes alike: each loads the authority for itself, as the API's requests and the command line do
    serials = range(1, 61)
    code = "import sys; from pathlib import Path; from feldsher_cloud_api import ca; a = ca.load(Path(sys.argv[1]))"
    code += "; [a.revoke(n) for n in range(1001, 1021)]"
    with subprocess.Popen([sys.executable, "-c", code, str(authority.directory)]) as process:
        with ThreadPoolExecutor(8) as pool:
            for number in serials:
                pool.submit(ca.load(authority.directory).revoke, number)
        assert process.wait(60) == 0
    crl = x509.load_pem_x509_crl(authority.crl_path.read_bytes())
    assert {entry.serial_number for entry in crl} == {*serials, *range(1001, 1021)}


def test_life_ends_before_it_starts_is_refused(authority: ca.CertificateAuthority) -> None:
    with pytest.raises(ca.CaError, match="not_after"):
        authority.issue_client("g", not_after=datetime(2000, 1, 1, tzinfo=UTC))


def _handshake(authority: ca.CertificateAuthority, client: ca.Credentials, tmp_path: Path) -> str:
    server_files = authority.issue_server(["localhost", "127.0.0.1"]).write(tmp_path, "server")
    client_files = client.write(tmp_path, "client")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate_pem.decode())
    server.load_cert_chain(*server_files)
    server.verify_mode = ssl.CERT_REQUIRED
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.load_cert_chain(*client_files)
    left, right = socket.socketpair()
    names: list[str] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as sock:
                certificate = sock.getpeercert()
                assert certificate is not None
                names.append(dict(pair[0] for pair in certificate["subject"])["commonName"])  # pyright: ignore
                sock.sendall(b"!")
        except ssl.SSLError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(right, server_hostname="localhost") as sock:
            assert sock.recv(1) == b"!"
    finally:
        thread.join()
    return names[0]


def test_mutual_tls_accepts_a_valid_client(authority: ca.CertificateAuthority, tmp_path: Path) -> None:
    assert _handshake(authority, authority.issue_client("gateway-1"), tmp_path) == "gateway-1"


def test_mutual_tls_refuses_an_expired_client(authority: ca.CertificateAuthority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    client = authority.issue_client("g", not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
    with pytest.raises((ssl.SSLError, AssertionError, ConnectionError)):
        _handshake(authority, client, tmp_path)
