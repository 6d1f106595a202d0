"""Releases: signed where the key is, taken only whole and signed, fetched only by whom they were offered to."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api.manage import release, rollout
from feldsher_cloud_api.manage.release import Artefact, ReleaseError
from feldsher_cloud_api.manage.tasks import Asker
from feldsher_edge import update
from feldsher_edge.api import RefusedError
from feldsher_edge.signing import verified
from feldsher_ehr_core import signed, wire
from feldsher_signal import artefact as kit_artefact
from feldsher_tools.clinic import Clinic
from feldsher_tools.served import Site

WHO = Asker("The technician")
FIELDS: dict[str, Any] = {"version": "2.0", "sequence": 5, "target": "any", "python": update.PYTHON}


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """A folder with what a gateway's update is made of."""
    folder = tmp_path / "house"
    (folder / "wheels").mkdir(parents=True)
    (folder / "requirements.lock").write_text("feldsher==2.0\n")
    (folder / "wheels" / "feldsher-2.0-py3-none-any.whl").write_bytes(b"PK" * 40_000)
    return folder


@pytest.fixture
def packed(wheelhouse: Path) -> Path:
    release.pack(wheelhouse, wheelhouse / "update.tar")
    return wheelhouse / "update.tar"


def add(clinic: Clinic, file: Path) -> Artefact:
    with clinic.owner() as connection:
        return release.add(connection, clinic.settings, file, "x")


def signed_and_added(clinic: Clinic, file: Path, key: Path, **changes: Any) -> Artefact:
    fields = {} if file.suffix == ".fkit" else FIELDS | changes
    release.sign(file, release.describe(file, **fields), release.load_key(key))
    return add(clinic, file)


def offer(site: Site, artefact: Artefact, device: str = "") -> wire.Update:
    """Offer an update to the site, and return what the worker sends."""
    now = site.clinic.time()
    with site.clinic.owner() as connection:
        made = rollout.start(
            connection, artefact, [(site.name, device)], rollout.ONE, WHO, reason="newer", now=now
        )  # fmt: skip
        assert rollout.step(connection, now) == 1
        [target] = rollout.targets(connection, made)
    assert target.task is not None
    message = site.command(target.task)
    assert isinstance(message, wire.Update)
    return message


def test_a_gateway_believes_fetches_and_resumes_what_it_was_offered(
    site: Site, packed: Path, release_key: Path, tmp_path: Path
) -> None:
    artefact = signed_and_added(site.clinic, packed, release_key)
    message = offer(site, artefact)
    manifest = update.believe(update.Offer(message.manifest, message.signature), site.api.identity.place.release_keys)
    assert (manifest.version, manifest.sequence, manifest.size) == ("2.0", 5, packed.stat().st_size)
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / f"{manifest.sha256}.part").write_bytes(packed.read_bytes()[:50_000])  # an interrupted download
    with site.api.download(f"/gateway/artefact/{manifest.sha256}", 50_000) as response:
        assert (response.status, response.read()) == (206, packed.read_bytes()[50_000:])
    fetched = update.fetch(site.api, manifest, folder)
    assert fetched.read_bytes() == packed.read_bytes()
    fetched.unlink()
    assert update.fetch(site.api, manifest, folder).read_bytes() == packed.read_bytes()
    update.unpack(fetched, tmp_path / "slot", manifest.size)
    assert (tmp_path / "slot" / "requirements.lock").read_text() == "feldsher==2.0\n"


def test_nobody_fetches_what_was_not_offered_or_is_settled(
    site: Site, claim: Callable[[], Site], packed: Path, release_key: Path
) -> None:
    artefact = signed_and_added(site.clinic, packed, release_key)
    message = offer(site, artefact)
    path = f"/gateway/artefact/{artefact.sha256}"
    with pytest.raises(RefusedError, match="was not offered to this gateway"), claim().api.download(path, 0):
        pass
    site.say(task=message.id, task_state="working")
    with site.api.download(path, 0) as response:
        assert response.status == 200
    site.say(task=message.id, task_state="failed")
    with pytest.raises(RefusedError, match="no longer is"), site.api.download(path, 0):
        pass
    with pytest.raises(RefusedError), site.api.download("/gateway/artefact/..%2F..%2Fsecrets", 0):
        pass


def test_an_update_whose_bytes_are_gone_is_no_empty_file(site: Site, packed: Path, release_key: Path) -> None:
    artefact = signed_and_added(site.clinic, packed, release_key)
    offer(site, artefact)
    release.path_of(site.settings, artefact.sha256).write_bytes(b"short")
    with (
        pytest.raises(RefusedError, match="missing in the cloud's store"),
        site.api.download(f"/gateway/artefact/{artefact.sha256}", 0),
    ):
        pass


def test_the_same_update_again_changes_nothing_and_another_of_its_sequence_is_refused(
    clinic: Clinic, packed: Path, release_key: Path
) -> None:
    first = signed_and_added(clinic, packed, release_key)
    assert signed_and_added(clinic, packed, release_key) == first
    with packed.open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(ReleaseError, match="sequence 5 is another update's"):
        signed_and_added(clinic, packed, release_key)


def test_what_is_not_signed_or_was_changed_is_not_taken(
    clinic: Clinic, packed: Path, release_key: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match="release sign"):
        add(clinic, packed)
    release.new_key(tmp_path / "others", "other")
    with pytest.raises(ReleaseError, match="no release key that is trusted"):
        signed_and_added(clinic, packed, tmp_path / "others" / "other.key")
    release.sign(packed, release.describe(packed, **FIELDS), release.load_key(release_key))
    data = bytearray(packed.read_bytes())
    data[600] ^= 1
    packed.write_bytes(data)
    with pytest.raises(ReleaseError, match="not what was signed"):
        add(clinic, packed)
    packed.with_name(packed.name + release.ENDING).write_text("{}")
    with pytest.raises(ReleaseError, match="cannot be read"):
        add(clinic, packed)
    folder = clinic.settings.state / "artefacts"
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_retired_key_signs_and_offers_nothing_more(clinic: Clinic, packed: Path, release_key: Path) -> None:
    artefact = signed_and_added(clinic, packed, release_key)
    with clinic.owner() as connection:
        release.retire(connection, "test", clinic.time())
        with pytest.raises(ReleaseError, match="is retired"):
            release.offer(connection, artefact.sha256)
        with pytest.raises(ReleaseError, match="no release key of that name"):
            release.retire(connection, "test", clinic.time())
        assert [k["retired_at"] is not None for k in release.keys(connection)] == [True]


def test_what_a_retired_key_signed_is_offered_once_another_has_signed_it(
    clinic: Clinic, packed: Path, release_key: Path, tmp_path: Path
) -> None:
    public = release.new_key(tmp_path / "others", "other")
    artefact = signed_and_added(clinic, packed, release_key)
    with clinic.owner() as connection:
        release.trust(connection, "other", public, clinic.time())
    assert signed_and_added(clinic, packed, tmp_path / "others" / "other.key").key == artefact.key == "test"
    with clinic.owner() as connection:
        release.retire(connection, "test", clinic.time())
    assert signed_and_added(clinic, packed, tmp_path / "others" / "other.key").key == "other"
    with clinic.owner() as connection:
        manifest, signature = release.offer(connection, artefact.sha256)
    assert verified((public,), signature, signed.manifest(manifest))


def test_a_key_is_never_overwritten_and_its_public_part_lies_beside_it(release_key: Path) -> None:
    with pytest.raises(ReleaseError, match="there already"):
        release.new_key(release_key.parent, "test")
    assert release_key.stat().st_mode & 0o777 == 0o600
    assert release_key.with_suffix(".pub").read_text().strip()


def test_an_update_is_the_same_for_the_same_and_holds_nothing_else(wheelhouse: Path, packed: Path) -> None:
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    release.pack(wheelhouse, packed)
    assert hashlib.sha256(packed.read_bytes()).hexdigest() == digest
    with tarfile.open(packed, "a") as archive:
        archive.addfile(tarfile.TarInfo("setup.py"))
    with pytest.raises(ReleaseError, match=r"setup\.py does not belong"):
        release.describe(packed, **FIELDS)
    (wheelhouse / "requirements.lock").unlink()
    with pytest.raises(ReleaseError, match=r"requirements\.lock: missing"):
        release.pack(wheelhouse, packed)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"sequence": 0}, r"\$\.sequence"), ({"target": ""}, r"\$\.target"), ({"version": "a b"}, r"\$\.version")],
)
def test_a_manifest_that_no_gateway_would_take_is_named(packed: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        release.describe(packed, **FIELDS | changes)


def kit(folder: Path, sequence: int = 7) -> Path:
    image = b"\xe9" * 3000
    inner = kit_artefact.Manifest("BOARD", "1.2.0", sequence, len(image), hashlib.sha256(image).digest()).pack()
    (folder / "kit.fkit").write_bytes(kit_artefact.pack(bytes(64), inner, image))
    return folder / "kit.fkit"


def test_a_kits_firmware_says_itself_what_it_is(site: Site, release_key: Path, tmp_path: Path) -> None:
    file = kit(tmp_path)
    artefact = signed_and_added(site.clinic, file, release_key)
    assert (artefact.kind, artefact.version, artefact.sequence, artefact.board) == ("kit", "1.2.0", 7, "BOARD")
    message = offer(site, artefact, "kit-1")
    assert message.device == "kit-1"
    slots = update.Slots(tmp_path / "software")
    offered = update.Offer(message.manifest, message.signature)
    image = update.Installer(slots, tmp_path / "edge.toml").firmware(offered, site.api)
    assert image == file.read_bytes()


def test_a_kits_firmware_under_another_manifest_is_refused(clinic: Clinic, release_key: Path, tmp_path: Path) -> None:
    file = kit(tmp_path)
    raw = release.describe(file).replace(b'"sequence": 7', b'"sequence": 9')
    assert signed.parse_manifest(raw).sequence == 9
    release.sign(file, raw, release.load_key(release_key))
    with pytest.raises(ReleaseError, match="sequence 7: not what was signed"):
        add(clinic, file)


def test_what_is_no_update_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nonsense")
    with pytest.raises(ReleaseError, match="neither a gateway's update"):
        release.describe(tmp_path / "x", **FIELDS)
