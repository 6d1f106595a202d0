"""A virtual cart that speaks DICOM: asks for its worklist and sends what it has recorded."""

from __future__ import annotations

import io
import ssl
from dataclasses import dataclass
from typing import Any, cast

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.association import Association

_ECHO, _WORKLIST = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31"
_STORE = "1.2.840.10008.5.1.4.1.1.9.1.1"


class CartError(Exception):
    """The gateway did not answer as a cart expects; the text says what it did."""


@dataclass(frozen=True, slots=True)
class DicomCart:
    """A cart with its AE title, and the port that it was configured to speak to."""

    port: int
    ae_title: str = "CART1"
    called: str = "FELDSHER"
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None

    def echo(self) -> int:
        """Return the status of a C-ECHO."""
        assoc = self._associated(_ECHO)
        try:
            return _status(assoc.send_c_echo())
        finally:
            _end(assoc)

    def worklist(self, **wanted: str) -> list[Dataset]:
        """Return the items of the worklist; `wanted`: matching keys by keyword."""
        assoc = self._associated(_WORKLIST)
        try:
            found: list[Dataset] = []
            for answer, item in cast("Any", assoc).send_c_find(query(**wanted), _WORKLIST):
                if _status(answer) not in (0x0000, 0xFF00):
                    raise CartError(f"C-FIND: status {_status(answer):04X}")
                if item is not None:
                    found.append(item)
            return found
        finally:
            _end(assoc)

    def store(self, raw: bytes) -> int:
        """Return the status of a C-STORE of a Part 10 file."""
        file = cast("Any", pydicom).dcmread(io.BytesIO(raw), force=True)
        assoc = self._associated(str(file.get("SOPClassUID", _STORE)))
        try:
            return _status(assoc.send_c_store(file))
        finally:
            _end(assoc)

    def _associated(self, uid: str) -> Association:
        ae = cast("Any", AE(ae_title=self.ae_title))
        ae.add_requested_context(uid)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        tls = None if self.tls is None else (self.tls, self.host)
        assoc = cast("Association", ae.associate(self.host, self.port, ae_title=self.called, tls_args=tls))
        if not assoc.is_established:
            _end(assoc)
            raise CartError("the association was not accepted")
        return assoc


def query(**wanted: str) -> Dataset:
    """Return a worklist query for what carts show, with matching keys by keyword (also those of the step)."""
    asked, step = Dataset(), Dataset()
    for name in ("PatientName", "PatientID", "PatientSex", "PatientAge", "AccessionNumber", "StudyInstanceUID"):
        setattr(asked, name, wanted.pop(name, ""))
    asked.PatientBirthDate = asked.RequestedProcedureID = asked.RequestedProcedureDescription = ""
    for name in ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate"):
        setattr(step, name, wanted.pop(name, ""))
    step.ScheduledProcedureStepDescription = step.ScheduledProcedureStepStartTime = ""
    asked.ScheduledProcedureStepSequence = Sequence([step])
    for name, value in wanted.items():
        setattr(asked, name, value)
    return asked


def _end(assoc: Association) -> None:
    """Release an association and close its connection, which pynetdicom leaves open where the peer has cut it off."""
    if assoc.is_established:
        assoc.release()
    connection = cast("Any", assoc).dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.close()


def _status(answer: Dataset) -> int:
    if "Status" not in answer:
        raise CartError("the association ended without an answer")
    return int(answer.Status)
