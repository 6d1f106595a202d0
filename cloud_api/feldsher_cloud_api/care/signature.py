"""Signing: a doctor confirms a report by a re-authenticated act with their own key over the bytes that were shown.

What is signed is a manifest of SHA-256: of the report's stored text in the version that was shown, of every element of
the final report, of the pictures of both, and of the recording's samples and interpretation. The exact manifest bytes
and the detached JWS (ES256) are kept; `verify` compares all of it with what is stored now.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast
from uuid import UUID

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from feldsher_ingest import read
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from feldsher_cloud_api import access, audit, db, passwords
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.care import alarm, picture, stream
from feldsher_cloud_api.care.picture import INTERPRETER_SAID
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import dates, store, validate
from feldsher_cloud_api.fhir.outcome import FhirError

_queries = db.queries("signature")
VERIFICATION = {"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5"}
"""Verification signature, http://hl7.org/fhir/R4/valueset-signature-type.html."""
UNCONFIRMED = "Unconfirmed."
"""How the interpreter ends its own conclusion."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a doctor asks for: the password again, the version that was seen, and their own conclusion if it differs.

    `agrees`: the conclusion only puts the interpreter's statements into words, so its codes stay.
    """

    password: str
    version: int
    conclusion: str | None = None
    agrees: bool = False


class Signer(Protocol):
    """Makes a detached JWS over bytes in one person's name."""

    def sign(self, data: bytes) -> str:
        """Return header and signature as `header..signature`."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """A signer with an unsealed key."""

    key: ECKey

    def sign(self, data: bytes) -> str:
        """Return the detached JWS (RFC 7515 appendix F), ES256."""
        whole = jws.serialize_compact({"alg": "ES256", "kid": self.key.thumbprint()}, data, self.key)
        header, _, signature = whole.split(".")
        return f"{header}..{signature}"


def asked(body: bytes) -> Asked:
    """Return what a Parameters resource asks for; FhirError names a parameter that is missing or wrong."""
    given: dict[str, Any] = {}
    for parameter in cast("list[dict[str, Any]]", validate.body(body, "Parameters").get("parameter", [])):
        given |= {str(parameter.get("name")): v for k, v in parameter.items() if k.startswith("value")}
    password, version, conclusion = given.get("password"), given.get("version"), given.get("conclusion")
    if not isinstance(password, str):
        raise FhirError(400, "required", "password: valueString is needed", "Parameters.parameter('password')")
    if not isinstance(version, int):
        raise FhirError(400, "required", "version: valueInteger is needed", "Parameters.parameter('version')")
    return Asked(password, version, conclusion if isinstance(conclusion, str) else None)


def new_key(password: str) -> tuple[str, bytes, bytes, bytes]:
    """Return a new key for a person: (public key PEM, salt, nonce, private key sealed under the password)."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    return public.decode(), salt, nonce, AESGCM(_wrapping_key(password, salt)).encrypt(nonce, private, None)


def _wrapping_key(password: str, salt: bytes) -> bytes:
    # RFC 9106 §4, second recommended option: 64 MiB, three passes.
    return hash_secret_raw(password.encode(), salt, 3, 65536, 4, 32, Type.ID)


def resealed(connection: db.Connection, person: UUID, old: str, new: str) -> tuple[bytes, bytes, bytes] | None:
    """Return a person's signing key sealed under a new password: (salt, nonce, sealed); None where they have none."""
    row = _queries.key(connection, person=person)
    if row is None:
        return None
    salt, nonce, wrapped = row
    private = AESGCM(_wrapping_key(old, salt)).decrypt(nonce, wrapped, None)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    return salt, nonce, AESGCM(_wrapping_key(new, salt)).encrypt(nonce, private, None)


def open_signer(connection: db.Connection, person: UUID, password: str) -> Signer:
    """Return the signer of a person whose password is known; FhirError 403 where they have no key that it opens."""
    row = _queries.key(connection, person=person)
    if row is None:
        raise FhirError(403, "forbidden", "you have no signing key; an administrator can give you one")
    salt, nonce, wrapped = row
    try:
        private = AESGCM(_wrapping_key(password, salt)).decrypt(nonce, wrapped, None)
    except InvalidTag as error:
        raise FhirError(403, "forbidden", "your signing key does not open with this password") from error
    pem = serialization.load_der_private_key(private, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeySigner(ECKey.import_key(pem))


def sign(of: Context, who: Principal, report: UUID, wish: Asked) -> store.Stored:
    """Sign a preliminary report in the version that was shown and return it as final.

    FhirError 403 (password, key), 404, 409 (not preliminary), 412 (another version than the one shown).
    """
    access.permit_role(who, "doctor")
    now = of.settings.clock()
    _authenticate_again(of, who, wish.password, now)
    with access.asking(of.pool, who) as connection:
        # Locked before it is read, so that two who sign at once do not both see it preliminary.
        connection.execute("SELECT FROM fhir.diagnosticreport WHERE id = %s FOR UPDATE", (report,))
        shown = store.read(connection, "DiagnosticReport", report, access.reach(connection, who))
        if shown.version != wish.version:
            raise FhirError(412, "conflict", f"the report is now version {shown.version}; look at it again")
        content = shown.content()
        if shown.patient is None:
            raise FhirError(409, "conflict", "the report belongs to nobody yet: assign it first")
        if content["status"] != "preliminary":
            raise FhirError(409, "conflict", f"the report is {content['status']}, only a preliminary one can be signed")
        final = _finalise(content, who, wish, now)
        words = f"{who.display}, {now:%Y-%m-%d %H:%M} UTC"
        picture.confirm(connection, final, words, shown.patient, now, demo=of.settings.demo)
        signed = _manifest(connection, shown, final, who, now)
        signature = open_signer(connection, who.person, wish.password).sign(signed)
        version = store.update(connection, final, patient=shown.patient, now=now)
        _confirm_results(connection, final, now)
        _queries.add_signature(
            connection, id=store.new_id(now), report=report, version=shown.version, person=who.person, at=now,
            signed=signed, jws=signature,
        )  # fmt: skip
        _provenance(connection, final, version, who, signature, shown.patient, now)
        alarm.signed(connection, who, report, now)
        audit.record(
            connection, who, interaction="sign", action="E", now=now,
            resources=[f"DiagnosticReport/{report}"], patient=shown.patient,
        )  # fmt: skip
        return store.read(connection, "DiagnosticReport", report)


def _authenticate_again(of: Context, who: Principal, password: str, now: datetime) -> None:
    with of.pool.connection() as connection:
        row = _queries.username(connection, person=who.person)
    if row is None or passwords.authenticate(of.pool, row[0], password, now) != who.person:
        raise FhirError(403, "security", "the password is not right, or the account is locked for a while")


def _finalise(report: dict[str, Any], who: Principal, wish: Asked, now: datetime) -> dict[str, Any]:
    final = {**report, "status": "final", "issued": dates.render(now)}
    final["resultsInterpreter"] = [{"reference": who.reference, "display": who.display}]
    said = report.get("conclusion", "")
    # The interpreter ends by calling itself unconfirmed, which a confirmed report must not say.
    conclusion = said.removesuffix(UNCONFIRMED).strip() if wish.conclusion is None else wish.conclusion
    if conclusion != said:
        kept = {"url": INTERPRETER_SAID, "valueString": said}
        final["extension"] = [*report.get("extension", []), kept]
        final["conclusion"] = conclusion
    if wish.conclusion not in (None, said) and not wish.agrees:
        # The interpreter's codes are its own; a doctor's text must not stand beside codes that it contradicts.
        final.pop("conclusionCode", None)
    return final


def _manifest(
    connection: db.Connection, shown: store.Stored, final: dict[str, Any], who: Principal, now: datetime
) -> bytes:
    samples, interpretation = _recorded(connection, shown.id)
    manifest = {
        "report": str(shown.id),
        "version": shown.version,
        "report_sha256": _sha256(shown.json.encode()),
        "final_sha256": _elements(final),
        "pictures_sha256": {url: _picture(connection, url) for url in _pictures(shown.content()) + _pictures(final)},
        "samples_sha256": samples,
        "interpretation_sha256": interpretation,
        "conclusion": final["conclusion"],
        "signer": who.reference,
        "at": dates.render(now),
    }
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _recorded(connection: db.Connection, report: UUID) -> tuple[str | None, str | None]:
    """Return the SHA-256 of the samples and of the interpretation that a report is about, None where there is none."""
    row = _queries.recorded(connection, report=report)
    if row is not None:
        return row[0], row[1]
    continuous = stream.of_report(connection, report)
    if continuous is None:
        return None, None
    said = stream.evaluation(connection, continuous.id)[0]
    interpretation = None if said is None else _sha256(msgspec.json.encode(said))
    return read.stream_digest(connection, continuous).hex(), interpretation


def _elements(report: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each element of a report but `meta`, which storing adds."""
    return {
        name: _sha256(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str).encode())
        for name, value in report.items()
        if name != "meta"
    }


def _pictures(report: dict[str, Any]) -> list[str]:
    return [form["url"] for form in report.get("presentedForm", [])]


def _picture(connection: db.Connection, url: str) -> str | None:
    """Return the SHA-256 of a picture's bytes, None where it is not stored."""
    try:
        return _sha256(store.picture(connection, UUID(url.rsplit("/", 1)[-1]))[0])
    except FhirError:
        return None


def _confirm_results(connection: db.Connection, report: dict[str, Any], now: datetime) -> None:
    for result in report.get("result", []):
        stored = store.read(connection, "Observation", UUID(result["reference"].rsplit("/", 1)[-1]))
        store.update(connection, stored.content() | {"status": "final"}, patient=stored.patient, now=now)


def _provenance(
    connection: db.Connection,
    report: dict[str, Any],
    version: int,
    who: Principal,
    signature: str,
    patient: UUID | None,
    now: datetime,
) -> None:
    target = f"DiagnosticReport/{report['id']}/_history/{version}"
    person = {"reference": who.reference, "display": who.display}
    resource = {
        "resourceType": "Provenance",
        "id": str(store.new_id(now)),
        "target": [{"reference": target}] + ([{"reference": f"Patient/{patient}"}] if patient else []),
        "recorded": dates.render(now),
        "agent": [{"type": {"coding": [{"system": _PARTICIPANT, "code": "verifier"}]}, "who": person}],
        "signature": [
            {
                "type": [VERIFICATION],
                "when": dates.render(now),
                "who": person,
                "sigFormat": "application/jose",
                "data": base64.b64encode(signature.encode()).decode(),
            }
        ],
    }
    store.insert(connection, resource, patient=patient, now=now)


_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def verify(connection: db.Connection, report: UUID) -> tuple[str, ...]:
    """Return what of a report does not fit its signatures, in words; nothing where it is whole.

    Each signature must fit its kept bytes and its signer's key; both versions of the report, their pictures, the
    samples and the interpretation must still be what was signed; and no later version may stand unsigned.
    """
    rows = list(_queries.signatures(connection, report=report))
    if not rows:
        return ("there is no signature",)
    found = store.find(connection, "DiagnosticReport", report)
    if found is None:
        return ("the report is not stored any more",)
    versions = {s.version: s for s in store.versions(connection, "DiagnosticReport", report)}
    wrong = [w for version, *proof in rows for w in _differences(connection, versions, report, version, *proof)]
    if found.version != rows[-1][0] + 1:
        wrong.append(f"version {found.version}, the current one, is not signed")
    return tuple(wrong)


def _differences(
    connection: db.Connection,
    versions: dict[int, store.Stored],
    report: UUID,
    version: int,
    signed: bytes,
    signature: str,
    public: str,
) -> Iterator[str]:
    """Yield what does not fit one signature; where the signature itself is false, only that."""
    header, _, mark = signature.split(".")
    whole = f"{header}.{base64.urlsafe_b64encode(signed).rstrip(b'=').decode()}.{mark}"
    try:
        jws.deserialize_compact(whole, ECKey.import_key(public), algorithms=["ES256"])
    except JoseError:
        yield f"the signature of version {version} does not fit its bytes and its signer's key"
        return
    manifest = json.loads(signed)
    if (manifest["report"], manifest["version"]) != (str(report), version):
        yield f"the signature of version {version} belongs to another report or version"
        return
    shown, final = versions.get(version), versions.get(version + 1)
    if shown is None or _sha256(shown.json.encode()) != manifest["report_sha256"]:
        yield f"version {version}, the one that was shown, is {'missing' if shown is None else 'changed'}"
    if final is None:
        yield f"version {version + 1}, the signed one, is missing"
    else:
        yield from _changed(
            f"version {version + 1}, the signed one", manifest["final_sha256"], _elements(final.content())
        )
    pictures = {url: _picture(connection, url) for url in manifest["pictures_sha256"]}
    yield from _changed("pictures", manifest["pictures_sha256"], pictures)
    samples, interpretation = _recorded(connection, report)
    signed_recording = {name: manifest[f"{name}_sha256"] for name in ("samples", "interpretation")}
    yield from _changed("recording", signed_recording, {"samples": samples, "interpretation": interpretation})
    if _damaged(connection, report):
        yield "recording: the samples themselves are not those of their hash"


def _damaged(connection: db.Connection, report: UUID) -> bool:
    row = _queries.recording_of(connection, report=report)
    try:
        if row is not None and read.recording(connection, *row) is None:
            stream.verify(connection, report)
    except (read.DamagedError, ValueError):  # ValueError: the samples or their interpretation cannot be decoded
        return True
    return False


def _changed(where: str, signed: Mapping[str, str | None], stored: Mapping[str, str | None]) -> Iterator[str]:
    for name in sorted(signed.keys() | stored.keys()):
        if signed.get(name) != stored.get(name):
            yield f"{where}: {name} is {'missing' if stored.get(name) is None else 'changed'}"


def signed_reports(connection: db.Connection) -> list[UUID]:
    """Return the reports that have a signature or say that they are signed."""
    return [row[0] for row in _queries.signed_reports(connection)]
