"""The DICOM port: carts get their worklist and hand over ECGs, once; strangers, floods and nonsense get nothing."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pydicom
import pytest
import pytest_asyncio
from feldsher_cloud_api import ca
from feldsher_cloud_api import originals as cloud
from feldsher_cloud_api.config import Settings
from feldsher_edge.config import Dicom, parse
from feldsher_edge.dicom import DicomError
from feldsher_edge.simulate import cart
from feldsher_edge.simulate.dicom_bench import DicomBench
from feldsher_edge.simulate.dicom_cart import CartError, DicomCart
from feldsher_edge.store import StoreError
from feldsher_ehr_core.ids import order_number
from feldsher_tools.place import free_port
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import build_context

AT = datetime(2027, 1, 15, 7, 30)  # noqa: DTZ001 (a device's local time)
KEY = cloud.new_key()
CERTIFICATE = KEY[KEY.index(b"-----BEGIN CERTIFICATE") :].decode()
ORDER = UUID("019c7d3e-4c80-7000-8000-00feed123456")
pytestmark = pytest.mark.asyncio(loop_scope="module")
OBJECT = cart.written("dicom", cart.recording(), cart.Patient(order_number(ORDER)), AT)
TWO_CARTS = """
[dicom]
port = {port}
most_mb = 1
[[dicom.cart]]
device = "cart-1"
ae_title = "CART1"
[[dicom.cart]]
device = "cart-2"
ae_title = "CART2"
address = "127.0.0.9"
"""


def dicom(text: str = TWO_CARTS, **fields: object) -> Dicom:
    config = parse(text.format(port=free_port(), **fields))
    assert config.dicom is not None
    return config.dicom


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[DicomBench]:
    made = DicomBench(tmp_path_factory.mktemp("dicom"), dicom(), CERTIFICATE)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def bench(shared: DicomBench) -> DicomBench:
    """The one port of this file, as if nothing had been sent before."""
    shared.forget()
    return shared


async def test_the_whole_way_from_worklist_to_recording(bench: DicomBench, tmp_path: Path) -> None:
    bench.ordered(ORDER)
    bench.ordered(UUID(int=ORDER.int + 7), "cart-2")
    cart_1 = bench.cart()
    assert await asyncio.to_thread(cart_1.echo) == 0
    (item,) = await asyncio.to_thread(cart_1.worklist, Modality="ECG")
    assert item.PatientID == order_number(ORDER)
    mine = cart.written("dicom", cart.recording(), cart.Patient("LOCAL-1"), AT, study=str(item.StudyInstanceUID))
    assert await asyncio.to_thread(cart_1.store, mine) == 0
    (message,) = await bench.sent()
    assert (message.order, message.device) == (ORDER, "cart-1")
    assert message.origin is not None
    assert (message.origin.via, message.origin.format, message.origin.model) == ("dicom", "DICOM", "Cart 1")
    assert await asyncio.to_thread(cart_1.worklist) == []
    assert {state.device for state in bench.sink.states if state.state == "present"} == {"cart-1"}
    (sealed,) = _files(bench.folder / "done")
    settings_ = Settings("", state=tmp_path / "cloud")
    settings_.secrets.mkdir(parents=True)
    (settings_.secrets / "originals.pem").write_bytes(KEY)
    assert b"SECRETOVA" in cloud.opened(settings_, sealed.read_bytes())
    assert not [path for path in _files(bench.folder.parent) if b"SECRETOVA" in path.read_bytes()]


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


async def test_an_object_sent_again_is_a_success_and_no_second_recording(bench: DicomBench) -> None:
    for _ in range(3):
        assert await asyncio.to_thread(bench.cart().store, OBJECT) == 0
    assert len(await bench.sent()) == 1


async def test_an_instance_with_other_samples_is_refused_and_kept(bench: DicomBench) -> None:
    instance = str(pydicom.dcmread(io.BytesIO(OBJECT)).SOPInstanceUID)  # pyright: ignore[reportUnknownMemberType]
    other = cart.written("dicom", cart.recording(2), cart.Patient(), AT, instance=instance)
    assert [await asyncio.to_thread(bench.cart().store, it) for it in (OBJECT, other, other)] == [0, 0x0111, 0x0111]
    assert [path.suffix for path in _files(bench.folder / "quarantine")] == [".p7m", ".txt"]
    assert len(await bench.sent()) == 1


async def test_an_object_that_cannot_be_read_is_kept_and_the_cart_told(bench: DicomBench) -> None:
    file = pydicom.dcmread(io.BytesIO(OBJECT))  # pyright: ignore[reportUnknownMemberType]
    del file.WaveformSequence
    out = io.BytesIO()
    file.save_as(out)
    assert await asyncio.to_thread(bench.cart().store, out.getvalue()) == 0xC000
    reason, _ = sorted(_files(bench.folder / "quarantine"), key=lambda path: path.suffix, reverse=True)
    assert reason.suffix == ".txt"
    assert "SECRETOVA" not in reason.read_text()
    assert await bench.sent() == []


async def test_what_cannot_be_committed_stays_with_the_cart(bench: DicomBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError(28, "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.outbox, "hold", full)
        assert await asyncio.to_thread(bench.cart().store, OBJECT) == 0xA700
    bench.certificate = ""
    assert await asyncio.to_thread(bench.cart().store, OBJECT) == 0xA700
    assert "claim the gateway anew" in (bench.sink.states[-1].detail or "")
    bench.certificate = CERTIFICATE
    assert await asyncio.to_thread(bench.cart().store, OBJECT) == 0
    assert len(await bench.sent()) == 1


@pytest.mark.parametrize(
    ("ae_title", "called"), [("STRANGER", "FELDSHER"), ("CART1", "OTHER"), ("CART2", "FELDSHER"), ("", "FELDSHER")]
)
async def test_strangers_are_not_answered(bench: DicomBench, ae_title: str, called: str) -> None:
    stranger = DicomCart(bench.it.port, ae_title or " ", called)
    with pytest.raises((CartError, RuntimeError, ValueError)):
        await asyncio.to_thread(stranger.store, OBJECT)
    assert await bench.sent() == []


async def test_what_is_longer_than_allowed_is_cut_off(bench: DicomBench) -> None:
    large = cart.written("dicom", cart.recording(seconds=16.0, fs=1000.0), cart.Patient(), AT)
    huge = (
        large.replace(b"Virtual ", b"Virtual ")
        + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 4 << 20)
        + bytes(4 << 20)
    )
    with pytest.raises(CartError, match="without an answer"):
        await asyncio.to_thread(bench.cart().store, huge)
    assert await asyncio.to_thread(bench.cart().store, large) == 0


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def throw(port: int, raw: bytes) -> None:
    """Send bytes and wait until the port has had enough of them."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        try:
            wire.sendall(raw)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(4096):
                pass
        except OSError:
            pass


def associate() -> bytes:
    """Return the A-ASSOCIATE-RQ that our own virtual cart sends."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CART1", "FELDSHER"
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    primitive.user_information = [length]
    context = build_context("1.2.840.10008.5.1.4.1.1.9.1.1")
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


HOSTILE = (
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x01\x00\xff\xff\xff\xff" + bytes(100_000),
    b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
    b"\x01\x00\x00\x00\x00\x00",
    bytes(range(256)) * 400,
    associate()[:40],
    associate() + b"\x04\x00\x7f\xff\xff\xff" + bytes(1 << 20),
    associate() + b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
    associate() + b"\x04\x00\x00\x00\x00\x0e\x00\x00\x00\x0a\x01\x03" + b"\xff" * 8,
    associate()
    + (b"\x04\x00" + struct.pack(">I", 65006) + struct.pack(">I", 65002) + b"\x01\x00" + bytes(65000)) * 200,
    associate() * 50,
)


async def test_hostile_bytes_leave_the_port_answering_and_small(bench: DicomBench) -> None:
    await asyncio.to_thread(bench.cart().echo)
    child = bench.port.pid
    assert child is not None
    before = memory_mb(child)
    for raw in HOSTILE:
        await asyncio.to_thread(throw, bench.it.port, raw)
    assert await answered(bench.cart().store, OBJECT) == 0
    assert bench.port.pid == child
    assert memory_mb(child) < before + 60
    assert len(await bench.sent()) == 1


async def test_mutated_associations_leave_the_port_answering(bench: DicomBench) -> None:
    good = associate()

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), min_size=1, max_size=6))
    def mutated(changes: list[tuple[int, int]]) -> None:
        raw = bytearray(good)
        for at, value in changes:
            raw[at] = value
        throw(bench.it.port, bytes(raw) + b"\x04\x00\x00\x00\x00\x0e\x00\x00\x00\x0a\x01\x03" + bytes(8))

    await asyncio.to_thread(mutated)
    assert await answered(bench.cart().echo) == 0


async def test_more_connections_than_there_are_carts_are_refused_and_leave_room_again(bench: DicomBench) -> None:
    held = [socket.create_connection(("127.0.0.1", bench.it.port), timeout=60) for _ in range(12)]
    await asyncio.sleep(0.5)
    for wire_ in held:
        wire_.close()
    assert await answered(bench.cart().echo) == 0


async def answered(ask: Callable[..., int], *arguments: object) -> int:
    """Return what a cart is answered once the connections of those before it are over."""
    for _ in range(600):
        try:
            return await asyncio.to_thread(ask, *arguments)
        except CartError:
            await asyncio.sleep(0.1)
    pytest.fail("the port did not recover")


async def test_a_child_that_dies_is_a_fault_that_ends_the_run(tmp_path: Path) -> None:
    bench = DicomBench(tmp_path, dicom(), CERTIFICATE)
    await bench.start()
    assert bench.port.pid is not None
    os.kill(bench.port.pid, 9)
    assert bench.running is not None
    with pytest.raises(DicomError, match="the DICOM child ended"):
        await bench.running
    assert bench.sink.states[-1].state == "fault"
    await bench.stop()


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    it = dicom()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", it.port))
        taken.listen()
        bench = DicomBench(tmp_path, it, CERTIFICATE)
        with pytest.raises(DicomError, match=f"127.0.0.1:{it.port}: .*Address already in use"):
            await bench.start()
        await bench.stop()


async def test_without_the_library_the_port_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feldsher_edge.dicom.importlib.util.find_spec", _absent)
    bench = DicomBench(tmp_path, dicom(), CERTIFICATE)
    with pytest.raises(DicomError, match=r"pip install feldsher\[dicom,formats\]"):
        await bench.start()
    await bench.stop()


def _absent(_: str) -> None:
    """Find no library."""


async def test_over_tls_carts_need_a_certificate_where_one_is_asked_for(tmp_path: Path) -> None:
    authority = ca.create(tmp_path / "ca")
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    certificate, key = authority.issue_server(["127.0.0.1"]).write(tmp_path, "server")
    lines = f'certificate = "{certificate}"\nkey = "{key}"\nca = "{tmp_path}/ca.pem"'
    bench = DicomBench(tmp_path, dicom(TWO_CARTS.replace("most_mb = 1", lines)), CERTIFICATE)
    await bench.start()
    unknown = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    known = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    known.load_cert_chain(*authority.issue_client("cart-1").write(tmp_path, "cart"))
    for context in (None, unknown):
        with pytest.raises(CartError):
            await asyncio.to_thread(DicomCart(bench.it.port, tls=context).echo)
    assert await answered(DicomCart(bench.it.port, tls=known).store, OBJECT) == 0
    assert len(await bench.sent()) == 1
    await bench.stop()
