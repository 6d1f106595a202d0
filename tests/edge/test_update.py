"""Updates: what is not signed, not for us or not newer is refused; what fails leaves what runs; a download goes on."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import gateway_keys
from feldsher_edge import update
from feldsher_edge.api import Api
from feldsher_edge.identity import load_identity
from feldsher_edge.provision import claim_identity
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.slots import Slots
from feldsher_edge.true_time import TrueTime
from feldsher_edge.update import Installer, Offer, UpdateError
from feldsher_ehr_core import signed
from feldsher_tools.office import Office

KEY = gateway_keys.load(gateway_keys.new_key())


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return out.getvalue()


ARTEFACT = archive({"requirements.lock": b"x", "wheels/x.whl": b"PK" * 5000})


def offer(artefact: bytes = ARTEFACT, key: Any = KEY, **changes: Any) -> Offer:
    values = {
        "format": 1, "kind": "gateway", "version": "2.0", "sequence": 5, "target": "any", "python": update.PYTHON,
        "size": len(artefact), "sha256": hashlib.sha256(artefact).hexdigest(),
    } | changes  # fmt: skip
    raw = json.dumps(values).encode()
    return Offer(raw, gateway_keys.sign(key, signed.manifest(raw)))


class Case:
    """A claimed gateway that trusts KEY, and an installer whose slow parts are noted instead of done."""

    def __init__(self, office: Office, folder: Path) -> None:
        office.release = KEY
        claim_identity(office.claim(), folder / "state")
        mine = load_identity(folder / "state")
        assert mine is not None
        clock = VirtualClock(int(office.now().timestamp() * 1e6))
        self.office, self.api = office, Api(mine, TrueTime(clock, folder / "state"))
        self.slots, self.done = Slots(folder / "software"), list[str]()
        self.fault = ""
        self.installer = Installer(self.slots, folder / "edge.toml", self._build, self._test)
        self.offer_file(ARTEFACT)

    def offer_file(self, artefact: bytes, name: str = "") -> None:
        self.office.bodies[f"/base/gateway/artefact/{name or hashlib.sha256(artefact).hexdigest()}"] = artefact

    def _build(self, folder: Path) -> None:
        assert (folder / "requirements.lock").exists()
        self.done.append("build")
        if self.fault == "build":
            raise UpdateError("pip ended with code 1")

    def _test(self, folder: Path, config: Path) -> None:
        self.done.append("test")
        if self.fault == "test":
            raise UpdateError("feldsher-edge check ended with code 2: $.kit")


@pytest.fixture
def case(office: Office, tmp_path: Path) -> Case:
    return Case(office, tmp_path)


def test_an_update_is_fetched_unpacked_built_tested_and_put_on_trial(case: Case) -> None:
    case.installer.install(offer(), case.api)
    assert case.done == ["build", "test"]
    assert (case.slots.current(), case.slots.last().detail) == ("a", "on trial")
    assert (case.slots.root / "a" / "wheels" / "x.whl").read_bytes() == b"PK" * 5000
    case.slots.keep()
    with pytest.raises(UpdateError, match="sequence 5 is not above 5"):
        case.installer.install(offer(), case.api)


def test_what_no_trusted_key_signed_is_not_even_read(case: Case) -> None:
    other = gateway_keys.load(gateway_keys.new_key())
    good = offer()
    for bad in (offer(key=other), Offer(good.manifest + b" ", good.signature), Offer(good.manifest, b"")):
        with pytest.raises(UpdateError, match="no release key"):
            case.installer.install(bad, case.api)
    assert case.slots.last().state == "none"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "kit", "board": "X"}, r"for a kit.*\$\.kind"),
        ({"target": "riscv64"}, rf"for riscv64.*{platform.machine()}"),
        ({"python": "2.7"}, r"for Python 2\.7"),
    ],
)
def test_what_is_not_for_this_gateway_is_refused(case: Case, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(UpdateError, match=why):
        case.installer.install(offer(**changes), case.api)
    assert case.slots.last().state == "refused"
    assert case.done == []


def test_an_older_update_is_refused_also_when_it_was_signed(case: Case) -> None:
    case.installer.install(offer(sequence=9), case.api)
    case.slots.keep()
    with pytest.raises(UpdateError, match="sequence 8 is not above 9"):
        case.installer.install(offer(sequence=8), case.api)


@pytest.mark.parametrize("fault", ["build", "test"])
def test_what_cannot_be_built_or_fails_its_test_never_runs(case: Case, fault: str) -> None:
    case.fault = fault
    with pytest.raises(UpdateError, match="ended with code"):
        case.installer.install(offer(), case.api)
    assert (case.slots.current(), case.slots.last().state) == ("-", "failed")
    case.fault = ""
    case.installer.install(offer(), case.api)  # and may be tried again
    assert case.slots.current() == "a"


def test_a_changed_artefact_is_thrown_away(case: Case) -> None:
    case.offer_file(ARTEFACT[:-1] + b"x", hashlib.sha256(ARTEFACT).hexdigest())
    with pytest.raises(UpdateError, match="not the one that was signed"):
        case.installer.install(offer(), case.api)
    assert list((case.slots.root / "fetched").iterdir()) == []


def test_an_interrupted_download_goes_on_where_it_ended(case: Case) -> None:
    fetched = case.slots.root / "fetched"
    fetched.mkdir(parents=True)
    (fetched / f"{hashlib.sha256(ARTEFACT).hexdigest()}.part").write_bytes(ARTEFACT[:7000])
    (fetched / "older.part").write_bytes(b"x")
    path = f"/base/gateway/artefact/{hashlib.sha256(ARTEFACT).hexdigest()}"
    case.office.bodies[path] = b"?" * 7000 + ARTEFACT[7000:]  # the first part is not asked for again
    case.installer.install(offer(), case.api)
    assert case.slots.current() == "a"
    assert list(fetched.iterdir()) == []


@pytest.mark.parametrize("name", ["../out", "wheels/../../out"])
def test_an_archive_that_would_write_elsewhere_is_refused(case: Case, name: str, tmp_path: Path) -> None:
    bad = archive({name: b"x"})
    case.offer_file(bad)
    with pytest.raises(UpdateError, match="cannot be unpacked"):
        case.installer.install(offer(bad), case.api)
    assert not (tmp_path / "software" / "out").exists()


def test_an_archive_with_links_or_too_much_in_it_is_refused(case: Case) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        link = tarfile.TarInfo("wheels")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        made.addfile(link)
    for bad in (out.getvalue(), _bomb()):
        case.offer_file(bad)
        with pytest.raises(UpdateError, match="neither file nor folder"):
            case.installer.install(offer(bad), case.api)


def _bomb() -> bytes:
    entry = tarfile.TarInfo("wheels/x.whl")
    entry.size = 10**12
    return entry.tobuf() + b"\0" * 10_240


def test_a_step_that_fails_shows_what_it_printed() -> None:
    with pytest.raises(UpdateError, match=r"sh -c ended with code 3: oh"):
        update.run(["/bin/sh", "-c", "echo oh >&2; exit 3"])
    with pytest.raises(UpdateError, match="absent failed"):
        update.run(["/nowhere/absent"])
