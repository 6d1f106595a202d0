"""A demo clinic in a real database, its application, and browsers: what the pages' tests stand on."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from fastapi.testclient import TestClient
from feldsher_cloud_api import auth, ca, db, demo, worker
from feldsher_cloud_api.app import create_app
from feldsher_cloud_api.config import Settings
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ingest.check import check
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_signal import codec
from feldsher_tools.place import free_port
from feldsher_tools.postgres import DatabaseServer
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GATEWAY, CARDIOGRAPH, HOME, CUFF = "gw-clinic", "kit-1", "gw-home", "AA:BB:CC:00:11:22"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def _samples() -> Any:
    spec = spec_from_file_location("ecg_samples", Path(__file__).with_name("ecg_samples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(slots=True)
class Clinic:
    """The demo clinic: its database, people, and gateways that send what a test asks for."""

    url: str
    state: Path
    seeded: dict[str, Any]
    clinic: SimulatedGateway = field(default_factory=partial(SimulatedGateway, GATEWAY, 1))
    home: SimulatedGateway = field(default_factory=partial(SimulatedGateway, HOME, 2))

    @property
    def patient(self) -> UUID:
        """Anna, who wears the cuff."""
        return UUID(self.seeded["patients"][0])

    def settings(self, api_url: str) -> Settings:
        """The installation's settings under an address."""
        return Settings(database_url=self.url, state=self.state, api_url=api_url, clock=lambda: NOW, demo=True)

    def password(self, name: str) -> str:
        """The password of an account."""
        return next(a["password"] for a in self.seeded["accounts"] if a["username"] == name)

    def send(self, message: wire.Up) -> None:
        """Store a message as ingest does and project it as the worker does."""
        topic = wire.up_topic(message.env.gateway, str(message.__struct_config__.tag))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
        store = Store(self.url, "web-tests")
        saved, _ = store.save([check(topic, wire.encode(message))])
        store.close()
        assert saved.states == ["stored"]
        self.work()

    def work(self) -> None:
        """Project everything that is open, as the worker does."""
        table = worker.projections(self.settings("http://testserver"))
        with db.connect(self.url, db.WORKER) as connection:
            for alerts in (False, True):
                while worker.step(connection, table, lambda: NOW, alerts=alerts):
                    connection.commit()

    def recording(
        self,
        *,
        order: UUID | None = None,
        critical: bool = True,
        pacemaker: bool | None = None,
        origin: wire.Origin | None = None,
    ) -> UUID:
        """A recording of ecg_samples arrives; without an order it belongs to nobody. Returns its report's id."""
        made, samples = self.clinic.recording(seconds=1), _samples()
        record = samples.recording()
        message = wire.EcgRecording(
            env=made.env,
            device=CARDIOGRAPH,
            order=order,
            fs=record.fs,
            leads=record.leads,
            uv_per_bit=record.uv_per_bit,
            n=record.n,
            codec=codec.ZDB32,
            samples=codec.encode(record.samples),
            sha256=codec.sha256(record.samples),
            started_us=made.started_us,
            ended_us=made.started_us + 10_000_000,
            lost=100,
            subject=Subject(age=68, sex="female", pacemaker=pacemaker),
            interpretation=samples.interpretation(critical=critical),
            origin=origin,
        )
        self.send(message)
        return made.env.id

    def pressure(self) -> None:
        """Anna's cuff sends one reading."""
        self.send(self.home.pressure(1, CUFF))

    def session(self, name: str) -> str:
        """The cookie of somebody who has signed in: the row that the sign-in form would have made."""
        token = secrets.token_urlsafe(32)
        with db.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO cloud.session (token_hash, person, created, last_seen, expires)"
                " VALUES (%s, %s, %s, %s, %s)",
                (auth.digest(token), demo.demo_id(f"person/{name}"), NOW, NOW, NOW + timedelta(hours=1)),
            )
        return token

    def execute(self, statement: str) -> None:
        """Change the database as its owner."""
        with db.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database as its owner."""
        with db.connect(self.url) as connection:
            return connection.execute(statement.encode(), values).fetchall()


@pytest.fixture(scope="session")
def clinic(
    postgres: DatabaseServer, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clinic]:
    """One demo clinic for all tests of the pages; each test adds its own recordings."""
    name = f"feldsher_web_{os.getpid()}"
    url = postgres.create_database(name, migrated_template)
    state = tmp_path_factory.mktemp("web-state")
    ca.create(state / "secrets" / "ca")
    settings = Settings(database_url=url, state=state, clock=lambda: NOW)
    with db.connect(url) as connection:
        seeded = demo.seed(
            connection, settings, clinic_gateway=GATEWAY, cardiograph=CARDIOGRAPH, home_gateway=HOME, cuff=CUFF,
            redirect_uris=[],
        )  # fmt: skip
        connection.execute("UPDATE cloud.gateway SET certificate_serial = '1', claimed_at = now()")
    yield Clinic(url, state, seeded)
    postgres.drop_database(name)


CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Visitor:
    """A browser without a screen: follows redirects, sends back the forms' CSRF token."""

    def __init__(self, clinic: Clinic, client: TestClient) -> None:
        """Wrap a client."""
        self.clinic = clinic
        self.client = client
        self.csrf = ""

    def get(self, path: str, *, status: int = 200, **headers: str) -> str:
        """Open a page and return its text."""
        response = self.client.get(path, headers={"accept": "text/html", **headers})
        assert response.status_code == status, (path, response.status_code, response.text[:400])
        found = CSRF.search(response.text)
        self.csrf = found[1] if found else self.csrf
        return response.text

    def post(self, path: str, *, status: int = 200, csrf: str | None = None, **form: str) -> str:
        """Send a form and return the page that it leads to."""
        token = self.csrf if csrf is None else csrf
        response = self.client.post(path, data=form | {"csrf": token}, headers={"accept": "text/html"})
        assert response.status_code == status, (path, response.status_code, response.text[:400])
        return response.text

    def sign_in(self, name: str) -> Visitor:
        """Be signed in as one of the demo's people, by a session opened behind the form (argon2 takes its time)."""
        self.client.cookies.set(auth.COOKIE, self.clinic.session(name))
        self.get("/")
        return self

    def sign_out(self) -> Visitor:
        """Forget who was signed in."""
        self.client.cookies.clear()
        return self


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time at which the clinic's clock stands."""
    return NOW


@pytest.fixture(scope="session")
def application(clinic: Clinic) -> Iterator[TestClient]:
    """The running application."""
    with TestClient(create_app(clinic.settings("http://testserver"))) as client:
        yield client


@pytest.fixture
def visitor(clinic: Clinic, application: TestClient) -> Visitor:
    """Somebody who has just opened the workstation."""
    application.cookies.clear()
    return Visitor(clinic, application)


@pytest.fixture
def doctor(visitor: Visitor) -> Visitor:
    """A signed-in doctor."""
    return visitor.sign_in("doctor")


@contextmanager
def _serve(clinic: Clinic) -> Generator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(uvicorn.Config(create_app(clinic.settings(url)), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.02)
        yield url
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="session")
def address(clinic: Clinic) -> Iterator[str]:
    """The address of the running workstation."""
    with _serve(clinic) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's chromium; tests that need it are skipped loudly where it is not installed.

    It ends with its module: playwright's loop runs on in the main thread, where every asynchronous test would fail.
    """
    program = shutil.which("chromium") or CHROMIUM
    if not Path(program).exists():
        pytest.skip("CHROMIUM IS NOT INSTALLED: the workstation is not tested in a browser (apt-get install chromium)")
    expect.set_options(timeout=60_000)  # what is expected may wait for the processor
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


Open = Callable[..., Page]


_OWN = ("readback", "ERR_INTERNET_DISCONNECTED", "htmx:afterRequest", "htmx:sendError")


def _complains(message: ConsoleMessage) -> bool:
    # That the tests themselves read pixels back or cut the line is no fault of the page.
    own = any(text in message.text for text in _OWN)
    return message.type in ("error", "warning") and not own


@pytest.fixture
def browse(chromium: Browser, address: str, clinic: Clinic) -> Iterator[Open]:
    """Open a browser of its own, signed in by name; at the end no page may have complained on its console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def start(name: str | None, *, width: int = 1440, height: int = 900, locale: str = "en-GB", **more: Any) -> Page:
        context = chromium.new_context(
            base_url=address, viewport={"width": width, "height": height}, locale=locale, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if _complains(m) else None)
        page.on("request", lambda r: complaints.append(f"foreign request {r.url}") if address not in r.url else None)
        if name is not None:
            cookie = {"name": auth.COOKIE, "value": clinic.session(name), "url": address}
            context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
            page.goto("/")
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []
