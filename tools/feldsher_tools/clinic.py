"""The demo clinic over a real database, for tests and benchmarks of the cloud: accounts, browsers, messages."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import numpy as np
from feldsher_cloud_api import audit, auth, ca, canary, db, demo, worker
from feldsher_cloud_api.app import create_app
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.metrics import Metrics
from feldsher_ehr_core import ecg, ids, wire
from feldsher_ingest.check import Checked
from feldsher_ingest.store import Store
from feldsher_signal import codec, synth
from httpx2 import Response
from starlette.testclient import TestClient

from feldsher_tools.postgres import empty

CLINIC, HOME = "demo-clinic", "demo-home"
CARDIOGRAPH, CUFF = "cardiograph", "F0:E1:D2:C3:B4:A5"
REDIRECT = "http://127.0.0.1:8765/callback"
_CLEARED = (
    "fhir.servicerequest, fhir.observation, fhir.diagnosticreport, fhir.provenance, fhir.auditevent, fhir.binary,"
    " fhir.servicerequest_history, fhir.observation_history, fhir.diagnosticreport_history, fhir.binary_history,"
    " cloud.gateway_command, cloud.unassigned, cloud.session, cloud.draft, cloud.recovery_code, cloud.second_factor,"
    " cloud.oauth_grant, cloud.oauth_code, cloud.oauth_refresh,"
    " cloud.alarm, cloud.alarm_alert, fhir.task, fhir.flag, fhir.task_history, fhir.flag_history,"
    " cloud.signature, cloud.audit_seal, public.message, public.reading, public.vital_reading, public.latest_reading,"
    " public.ecg_interpretation, public.replay_run,"
    " public.ecg_recording, public.event, public.clock_offset, cloud.gateway_task, cloud.gateway_configuration,"
    " public.ecg_stream, public.ecg_chunk, cloud.stream_report, fhir.provenance_history,"
    " cloud.rollout, cloud.rollout_target, cloud.artefact, cloud.diagnostics_bundle, cloud.release_key,"
    " public.gateway_state, public.device_status, public.gap, cloud.calibration, cloud.fleet_action,"
    " cloud.bulk_export, cloud.bulk_piece, fhir.group,"
    " fhir.change, fhir.amount, cloud.canary, public.watch_alert, public.watch_due, public.watch_checked"
)
_numbers = itertools.count(1)


@dataclass(slots=True)
class Time:
    """A clock that stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, **by: float) -> None:
        """Move the clock on."""
        self.now += timedelta(**by)


def seed(url: str, state: Path) -> dict[str, Any]:
    """Fill a migrated database with the demo clinic, its clinic gateway claimed, and return what `seed-demo` prints."""
    settings = Settings(database_url=url, state=state)
    ca.open_or_create(settings.ca_directory)
    with db.connect(url) as connection:
        made = demo.seed(
            connection,
            settings,
            clinic_gateway=CLINIC,
            cardiograph=CARDIOGRAPH,
            home_gateway=HOME,
            cuff=CUFF,
            redirect_uris=[REDIRECT],
        )
        connection.execute("UPDATE cloud.gateway SET certificate_serial = '1' WHERE id = %s", (CLINIC,))
    return made


@dataclass(slots=True)
class Clinic:
    """The demo clinic with its running application; `browser` is signed in to nothing at first."""

    url: str
    settings: Settings
    time: Time
    made: dict[str, Any]
    browser: TestClient

    context: Context
    metrics: Metrics

    @property
    def patients(self) -> list[str]:
        """Ids of the three patients: the first has an account `anna` and wears the cuff."""
        return list(self.made["patients"])

    def password(self, username: str) -> str:
        """Return the password of a demo account."""
        return next(a["password"] for a in self.made["accounts"] if a["username"] == username)

    def log_in(self, username: str) -> dict[str, str]:
        """Sign the browser in by name and password, as a person does; return the header that changes need (CSRF)."""
        form = {"username": username, "password": self.password(username)}
        response = self.browser.post("/login", data=form, headers={"accept": "application/json"})
        _good(response)
        return {auth.CSRF_HEADER: response.json()["csrf"]}

    def sign_in(self, username: str) -> dict[str, str]:
        """Be signed in by a session opened behind the form (argon2 takes its time); return the header (CSRF)."""
        self.sign_out()
        token = auth.open_session(self.context, demo.demo_id(f"person/{username}"))
        self.browser.cookies.set(auth.COOKIE, token)
        return {auth.CSRF_HEADER: auth.csrf_token(token)}

    def order(self) -> UUID:
        """Order an ECG of the second patient from the clinic's cardiograph; the browser is then signed in as doctor."""
        resource = {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]},
            "subject": {"reference": f"Patient/{self.patients[1]}"},
            "performer": [{"reference": f"Device/{self.made['cardiograph']}"}],
        }
        answer = self.browser.post("/fhir/ServiceRequest", json=resource, headers=self.sign_in("doctor"))
        if answer.status_code != 201:
            raise AssertionError(f"{answer.status_code}: {answer.text}")
        return UUID(answer.json()["id"])

    def sign_out(self) -> None:
        """Forget the browser's cookies."""
        self.browser.cookies.clear()

    def program_token(self, scope: str = "system/*.rs system/ServiceRequest.c") -> str:
        """Return an access token of the demo program."""
        client = self.made["client"]
        answer = self.browser.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "scope": scope},
            auth=(client["id"], client["secret"]),
        )
        _good(answer)
        return str(answer.json()["access_token"])

    def code(self, username: str, scope: str, verifier: str, **changes: str) -> Response:
        """Ask for an authorization code as a person and return the redirect."""
        self.sign_in(username)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": "demo-app",
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": "s",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        } | changes
        return self.browser.get(
            "/oauth/authorize", params={k: v for k, v in query.items() if v}, follow_redirects=False
        )

    def exchange(self, code: str, verifier: str, **changes: str) -> Response:
        """Exchange a code for tokens and return the answer."""
        form = {
            "grant_type": "authorization_code",
            "client_id": "demo-app",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": verifier,
        }
        return self.browser.post("/oauth/token", data=form | changes)

    def person_token(self, username: str, scope: str) -> dict[str, Any]:
        """Return the token response of the whole PKCE flow of a person; the browser is signed out afterwards."""
        verifier = secrets.token_urlsafe(48)
        answer = self.code(username, scope, verifier)
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        tokens = self.exchange(code, verifier)
        self.sign_out()
        _good(tokens)
        return tokens.json()

    @contextmanager
    def owner(self) -> Generator[db.Connection]:
        """Connect as the database's owner."""
        with db.connect(self.url, autocommit=True) as connection:
            yield connection

    @contextmanager
    def raw(self, role: str, person: UUID | None = None, patients: str = "") -> Generator[db.Connection]:
        """Connect as the application's database role with these settings and nothing else."""
        with db.connect(self.url, db.API) as connection, connection.transaction():
            connection.execute(
                "SELECT set_config('app.role', %s, true), set_config('app.user', %s, true),"
                " set_config('app.patients', %s, true)",
                (role, str(person) if person else "", patients),
            )
            yield connection

    def receive(self, *messages: wire.UpMessage) -> list[wire.ReceiptState | None]:
        """Store messages as ingest does, and return the receipts' states."""
        store = Store(self.url, "clinic")
        items = [
            Checked(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m), m) for m in messages
        ]
        saved, _ = store.save(items)
        store.close()
        return saved.states

    def work(self) -> int:
        """Project everything that is open and return how many events there were."""
        total = 0
        with db.connect(self.url, db.WORKER) as connection:
            table = worker.projections(self.settings)
            for alerts in (False, True):
                while done := worker.step(connection, table, self.time, alerts=alerts):
                    total += done
        return total

    def seal(self) -> int:
        """Seal the audit as the worker does every second."""
        with db.connect(self.url, db.WORKER) as connection:
            return audit.seal(connection)

    def envelope(self, gateway: str = HOME, clock: wire.ClockQuality = "synced") -> wire.Envelope:
        """Return a fresh envelope of a gateway, half an hour ahead of UTC by its wall clock's offset of 300 minutes."""
        number = next(_numbers)
        now = self.time.now
        return wire.Envelope(
            id=ids.uuid7(int(now.timestamp() * 1000), secrets.token_bytes(10)),
            gateway=gateway,
            boot=UUID(int=7),
            seq=number,
            mono_ns=number * 1_000_000,
            wall_us=int(now.timestamp() * 1_000_000),
            offset_min=300,
            clock=clock,
        )

    def vitals(
        self,
        at: datetime,
        values: Mapping[int, str | None],
        *,
        device: str = CUFF,
        gateway: str = HOME,
        status: int | None = None,
    ) -> wire.VitalsBatch:
        """Return the message of one reading at `at` (local time +05:00): MDC code → value as text, None: NaN."""
        local = (at + timedelta(hours=5)).replace(tzinfo=None).isoformat()
        reading = ids.reading_id(
            device=device, user=1, sent_at=local, values=[(c, v or "nan") for c, v in values.items()], sequence=None
        )
        n, us = len(values), int(at.timestamp() * 1_000_000)
        return wire.VitalsBatch(
            env=self.envelope(gateway),
            device=device,
            model="UA-651BLE",
            reading=(reading,) * n,
            code=tuple(values),
            value=tuple(values.values()),
            absent=tuple("nan" if v is None else None for v in values.values()),
            unit=tuple("/min" if c == 149546 else "mm[Hg]" for c in values),
            sent_at=(local,) * n,
            time_us=(us,) * n,
            received_us=(us + 1_000_000,) * n,
            user=(1,) * n,
            status=(status,) * n,
        )

    def recording(self, order: UUID | None = None, **changes: Any) -> wire.EcgRecording:
        """Return the message of a two-second, twelve-lead recording with an interpretation."""
        n, fs = 1000, 500.0
        phase = np.arange(n) / fs * 2 * np.pi * 1.2
        samples = np.stack([(300 * np.sin(phase + i)).astype(np.int32) for i in range(12)])
        start = int(self.time.now.timestamp() * 1_000_000)
        fields: dict[str, Any] = {
            "env": self.envelope(CLINIC),
            "device": CARDIOGRAPH,
            "order": order,
            "fs": fs,
            "leads": ecg.STANDARD_LEADS,
            "uv_per_bit": (2.5,) * 12,
            "n": n,
            "codec": codec.ZDB32,
            "samples": codec.encode(samples),
            "sha256": codec.sha256(samples),
            "started_us": start,
            "ended_us": start + 2_000_000,
            "interpretation": interpretation(n),
        }
        return wire.EcgRecording(**(fields | changes))

    def stream(
        self, identity: UUID, seconds: float = 120.0, *, began: datetime | None = None, patient: str = "normal",
        device: str = CUFF, clock: wire.ClockQuality = "synced",
    ) -> list[wire.EcgRecording]:  # fmt: skip
        """Return the pieces of a belt's continuous ECG of a synthetic patient, which began `seconds` ago."""
        began = began or self.time.now - timedelta(seconds=seconds)
        return belt_pieces(identity, seconds, began, lambda: self.envelope(HOME, clock), device, patient)


def belt_pieces(
    identity: UUID,
    seconds: float,
    began: datetime,
    envelope: Callable[[], wire.Envelope],
    device: str,
    patient: str = "normal",
) -> list[wire.EcgRecording]:
    """Return the pieces of ten seconds of a continuous ECG of a synthetic patient: 130 samples a second, one lead."""
    fs, start, step = 130.0, int(began.timestamp() * 1_000_000), 10_000_000
    whole = synth.ecg(synth.PRESETS[patient], seconds, fs, 1)[0].samples[1:2]
    pieces: list[wire.EcgRecording] = []
    for part in range(round(seconds) // 10):
        samples = whole[:, part * 1300 : (part + 1) * 1300]
        pieces.append(
            wire.EcgRecording(
                env=envelope(),
                device=device,
                order=None,
                fs=fs,
                leads=("CHEST",),
                uv_per_bit=(1.0,),
                n=samples.shape[1],
                codec=codec.ZDB32,
                samples=codec.encode(samples),
                sha256=codec.sha256(samples),
                started_us=start + part * step,
                ended_us=start + (part + 1) * step,
                not_interpreted="a piece of a continuous recording",
                stream=identity,
                part=part,
            )
        )
    return pieces


def _good(answer: Response) -> None:
    if answer.status_code != 200:
        raise AssertionError(f"{answer.status_code}: {answer.text}")


def interpretation(n: int) -> ecg.Interpretation:
    """Return an interpretation with a finding, measurements and one lead that could not be judged."""
    leads = {lead: ecg.LeadQuality(lead != "V3", () if lead != "V3" else ("lead off",)) for lead in ecg.STANDARD_LEADS}
    return ecg.Interpretation(
        engine="feldsher test",
        fs=500.0,
        leads=ecg.STANDARD_LEADS,
        samples=n,
        quality=ecg.Quality(usable=True, leads=leads),
        beats=(ecg.Beat(200, "N"), ecg.Beat(600, "N")),
        waves=(ecg.Wave(0, "global", qrs_on=180, r=200, qrs_off=226),),
        rhythm=(ecg.RhythmSpan(0, n, "AFIB"),),
        measurements=ecg.Measurements(rate=71.5, qrs=92.0, qt=380.0, qtc_bazett=415.2, qtc_fridericia=403.0),
        statements=(
            ecg.Statement("AFIB", "Atrial fibrillation", "probable", ("no P waves", "RR irregular"), critical=True),
        ),
        scores={"AFIB": 0.93, "NORM": 0.02},
        conclusion="Probable atrial fibrillation.",
    )


@contextmanager
def running(url: str, state: Path, made: dict[str, Any]) -> Generator[Clinic]:
    """Run the clinic's application over its seeded database, emptied of all that was measured, ordered or signed in."""
    with db.connect(url, autocommit=True) as connection:
        empty(connection, _CLEARED.split(", "))
        connection.execute("UPDATE cloud.account SET failed = 0, locked_until = NULL")
        connection.execute("DELETE FROM cloud.device_assignment WHERE device <> %s", (made["cuff"],))
        connection.execute("DELETE FROM public.watch_subject WHERE isempty(during)")
        connection.execute("DELETE FROM public.watch_limit WHERE set_by IS NOT NULL")
        connection.execute("UPDATE cloud.device SET life = 'ready', cleaned_at = NULL, replaced_by = NULL")
        connection.execute(
            "UPDATE cloud.gateway SET certificate_serial = CASE id WHEN %s THEN '1' END, revoked_at = NULL,"
            " life = 'ready', replaced_by = NULL, detail = '{}' WHERE id IN (%s, %s)",
            (CLINIC, CLINIC, HOME),
        )
        canary.prepare(
            connection, timedelta(days=100_000), datetime.now(UTC)
        )  # not silent, however a test's clock goes
    time = Time()
    settings = Settings(database_url=url, state=state, api_url="http://testserver", clock=time, demo=True)
    app = create_app(settings)
    with TestClient(app) as browser:
        yield Clinic(url, settings, time, made, browser, app.state.context, app.state.metrics)
