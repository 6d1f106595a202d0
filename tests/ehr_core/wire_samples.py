"""One message of every kind, with fixed contents: what the golden files of wire version 1 hold."""

from uuid import UUID

from feldsher_ehr_core import ecg, wire

E = wire.Envelope(
    id=UUID("0193546e-0000-7000-8000-000000000001"),
    gateway="gw-0001",
    boot=UUID("7b5f4a4e-5a3e-4b86-9b1e-1d0f3a5f9c01"),
    seq=41,
    mono_ns=123_456_789_000,
    wall_us=1_795_400_000_000_000,
    offset_min=300,
    clock="synced",
)
ORDER = UUID("0193546e-0000-7000-8000-0000000000aa")
READING = UUID("11111111-2222-8333-8444-555555555555")

INTERPRETATION = ecg.Interpretation(
    engine="feldsher 0.1.0",
    fs=500.0,
    leads=("I", "II"),
    samples=4,
    quality=ecg.Quality(
        usable=True,
        leads={"I": ecg.LeadQuality(True), "II": ecg.LeadQuality(False, ("lead off",))},
        segments=(ecg.QualitySegment(0, 4, "II", False, ("lead off",)),),
    ),
    beats=(ecg.Beat(2, "N"),),
    waves=(ecg.Wave(0, "global", qrs_on=1, r=2, qrs_off=3),),
    rhythm=(ecg.RhythmSpan(0, 4, "SR"),),
    measurements=ecg.Measurements(rate=71.5, qrs=92.0),
    statements=(ecg.Statement("SR", "Sinus rhythm", "definite", ("rate 71.5/min",)),),
    scores={"SR": 0.97, "NORM": 0.5},
    conclusion="Sinus rhythm.",
)

MESSAGES: dict[str, wire.Up | wire.Down] = {
    "ecg": wire.EcgRecording(
        env=E, device="kit-7", order=ORDER, fs=500.0, leads=("I", "II"), uv_per_bit=(0.5, 0.5), n=4, codec="zdb32",
        samples=b"\x28\xb5\x2f\xfd", sha256=bytes(range(32)), started_us=1, ended_us=8001, lost=1, crc_errors=2,
        clock_ratio=1.00001, partial="unplugged", lead_off=("II",), subject=ecg.Subject(61, "female", False),
        interpretation=INTERPRETATION,
    ),
    "vitals": wire.VitalsBatch(
        env=E, device="F0:F1:F2:F3:F4:01", model="UA-651BLE", reading=(READING, READING), code=(150021, 150022),
        value=("132", None), absent=(None, "nan"), unit=("mm[Hg]", "mm[Hg]"), sent_at=("2026-11-23T08:43:00",) * 2,
        time_us=(5, 5), received_us=(6, 6), user=(1, 1), status=(0, 0), device_now="2026-11-23T08:43:30",
        gateway_now_us=7, raw=(b"\x1e\x84\x00",),
    ),
    "birth": wire.Birth(env=E, software="0.1.0", starts=3, devices=("kit-7",)),
    "heartbeat": wire.Heartbeat(env=E, outbox_rows=2, outbox_bytes=4096, oldest_us=5, sources={"kit-7": 1.5}),
    "death": wire.Death(env=E, cause="will"),
    "device": wire.DeviceStatus(env=E, device="kit-7", state="present", battery=87, model="kit", firmware="0.1"),
    "order": wire.OrderState(env=E, order=ORDER, state="lapsed", detail="not taken in 600 s"),
    "clock": wire.ClockOffset(env=E, offset_us=-1_000_000, source="ntp"),
    "gap": wire.Gap(env=E, what="heartbeat", why="outbox full", count=3, first_us=1, last_us=2),
    "live": wire.LiveStrip(
        env=E, device="kit-7", order=None, fs=500.0, leads=("II",), uv_per_bit=(1.0,), first=100, n=50, codec="zdb32",
        samples=b"\x01",
    ),
    "reported": wire.Reported(
        env=E, software="0.2.0", config=4, config_wanted=5, config_state="rolled-back", config_detail="$.kit[0].port",
        update=7, update_wanted=8, update_state="working", update_detail="unpacking", slot="a",
        certificate_until_us=1_798_000_000_000_000, task=ORDER, task_state="applied", task_detail="sent",
    ),
    "down-order": wire.OrderCommand(
        id=E.id, sent_us=9, order=ORDER, device="kit-7", seconds=10.0, lapses_us=600_000_000, subject=ecg.Subject(61),
    ),
    "down-config": wire.Configuration(id=E.id, sent_us=9, version=4, toml="[log]\nlevel = 'info'\n", signature=b"\x30"),
    "down-receipt": wire.Receipt(id=E.id, sent_us=9, ids=(E.id, ORDER), states=("stored", "quarantined")),
    "down-resend": wire.ResendRequest(id=E.id, sent_us=9, since_us=1, until_us=2),
    "down-update": wire.Update(id=E.id, sent_us=9, manifest=b'{"format":1}', signature=b"\x01" * 64, device="kit-7"),
    "down-diagnose": wire.Diagnose(id=E.id, sent_us=9),
    "down-wipe": wire.Wipe(id=E.id, sent_us=9, signature=b"\x02" * 64, force=True),
}  # fmt: skip
