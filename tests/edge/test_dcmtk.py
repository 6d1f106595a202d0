"""Our DICOM checked by dcmtk: its carts get worklists and hand over ECGs, and it reads what our writer writes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import pytest_asyncio
from feldsher_cloud_api import originals as cloud
from feldsher_edge.config import Dicom
from feldsher_edge.simulate import cart
from feldsher_edge.simulate.dicom_bench import DicomBench
from feldsher_ehr_core.gateway_config import Cart
from feldsher_ehr_core.ids import order_number
from feldsher_signal.formats import Content, dicom
from feldsher_signal.record import Recording
from feldsher_tools import dcmtk
from feldsher_tools.dcmtk import Dcmtk
from feldsher_tools.place import free_port

AT = datetime(2027, 1, 15, 7, 30)  # noqa: DTZ001 (a device's local time)
ORDER = UUID("019c7d3e-4c80-7000-8000-00feed123456")
KEY = cloud.new_key()
CERTIFICATE = KEY[KEY.index(b"-----BEGIN CERTIFICATE") :].decode()
CALL = ("-aet", "CART1", "-aec", "FELDSHER", "127.0.0.1")


@pytest.fixture(scope="module")
def tools() -> Dcmtk:
    found = dcmtk.find()
    if found is None:
        pytest.skip("NO dcmtk: `./run up --upgrade` fetches it, or install Debian's package dcmtk")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tools: Dcmtk, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[DicomBench]:
    it = Dicom(cart=(Cart(device="cart-1", ae_title="CART1"),), port=free_port())
    made = DicomBench(tmp_path_factory.mktemp("dcmtk"), it, CERTIFICATE)
    await made.start()
    yield made
    await made.stop()


async def run(tools: Dcmtk, name: str, *arguments: str | Path) -> str:
    done = await asyncio.to_thread(tools.run, name, *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.asyncio(loop_scope="module")
async def test_echoscu(bench: DicomBench, tools: Dcmtk) -> None:
    said = await run(tools, "echoscu", "-v", *CALL, str(bench.it.port))
    assert "Received Echo Response (Success)" in said


@pytest.mark.asyncio(loop_scope="module")
async def test_echoscu_of_a_stranger_is_refused(bench: DicomBench, tools: Dcmtk) -> None:
    stranger = ("-aet", "STRANGER", "-aec", "FELDSHER", "127.0.0.1", str(bench.it.port))
    done = await asyncio.to_thread(tools.run, "echoscu", *stranger)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stdout


@pytest.mark.asyncio(loop_scope="module")
async def test_findscu_gets_the_worklist(bench: DicomBench, tools: Dcmtk, tmp_path: Path) -> None:
    bench.forget()
    bench.ordered(ORDER)
    bench.ordered(UUID(int=ORDER.int + 7))
    number = order_number(ORDER)
    keys = ("PatientName", "PatientID", "PatientSex", "PatientAge", "AccessionNumber", "StudyInstanceUID")
    step = "ScheduledProcedureStepSequence[0]"
    steps = ("Modality=ECG", "ScheduledStationAETitle=CART1", "ScheduledProcedureStepStartDate")
    arguments = [part for key in (*keys, *(f"{step}.{it}" for it in steps)) for part in ("-k", key)]
    await run(tools, "findscu", "-W", "-X", "-od", tmp_path, *CALL, str(bench.it.port), *arguments)
    found = [json.loads(await run(tools, "dcm2json", path)) for path in _files(tmp_path)]
    assert len(found) == 2
    mine = next(it for it in found if it["00100020"]["Value"] == [number])
    assert mine["00100010"]["Value"] == [{"Alphabetic": f"{number}^Order"}]
    assert (mine["00100040"]["Value"], mine["00101010"]["Value"]) == (["F"], ["061Y"])
    assert mine["0020000D"]["Value"] == [f"2.25.{ORDER.int}"]
    assert mine["00400100"]["Value"][0]["00080060"]["Value"] == ["ECG"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("number", "count"), [(order_number(ORDER), 1), ("OTHER", 0)])
async def test_findscu_finds_by_number(
    bench: DicomBench, tools: Dcmtk, tmp_path: Path, number: str, count: int
) -> None:
    bench.forget()
    bench.ordered(ORDER)
    arguments = ("-k", f"PatientID={number}", "-k", "PatientName")
    await run(tools, "findscu", "-W", "-X", "-od", tmp_path, *CALL, str(bench.it.port), *arguments)
    assert len(_files(tmp_path)) == count


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("syntax", ["-xe", "-xi", "-xb"])
async def test_storescu_hands_over_an_ecg_once(bench: DicomBench, tools: Dcmtk, tmp_path: Path, syntax: str) -> None:
    bench.forget()
    bench.ordered(ORDER)
    held = cart.recording()
    (tmp_path / "a.dcm").write_bytes(cart.written("dicom", held, cart.Patient(order_number(ORDER)), AT))
    for _ in range(2):
        said = await run(tools, "storescu", "-v", syntax, *CALL, str(bench.it.port), tmp_path / "a.dcm")
        assert "Received Store Response (Success)" in said
    (message,) = await bench.sent()
    assert (message.order, message.fs, message.n) == (ORDER, 500.0, 5000)


@pytest.mark.asyncio(loop_scope="module")
async def test_storescu_is_told_what_is_not_understood(bench: DicomBench, tools: Dcmtk, tmp_path: Path) -> None:
    bench.forget()
    raw = cart.written("dicom", cart.recording(), cart.Patient(), AT)
    waveforms = b"\x00\x54\x00\x01SQ"  # (5400,0100) becomes (5400,0101): there are none
    assert waveforms in raw
    (tmp_path / "a.dcm").write_bytes(raw.replace(waveforms, b"\x00\x54\x01\x01SQ"))
    done = await asyncio.to_thread(tools.run, "storescu", "-v", *CALL, str(bench.it.port), tmp_path / "a.dcm")
    assert "CannotUnderstand" in done.stdout
    assert await bench.sent() == []


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (cart.recording(), "TwelveLeadECGWaveformStorage"),
        (cart.recording().only(3), "12-lead or general"),
        (Recording(("I", "II"), 250.0, np.full((2, 2500), 1 << 20, np.int32), (0.01, 0.01)), "GeneralECG32"),
    ],
)
def test_dcmtk_reads_what_our_writer_writes(tools: Dcmtk, tmp_path: Path, held: Recording, kind: str) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom.dumps(Content(held), AT))
    dumped = tools.run("dcmdump", "+L", path)
    assert dumped.returncode == 0, kind
    assert not re.search(r"^[WEF]:", dumped.stdout, re.MULTILINE), dumped.stdout
    as_json = json.loads(tools.run("dcm2json", path).stdout)
    (group,) = as_json["54000100"]["Value"]
    assert group["003A0005"]["Value"] == [len(held.leads)]
    assert group["003A0010"]["Value"] == [held.n]
    assert group["003A001A"]["Value"] == [held.fs]
