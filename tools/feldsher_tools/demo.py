"""`./run demo`: the whole line with virtual devices, measured, or left running for a person to try."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import psycopg
import typer

from feldsher_tools.client import Client, Resource, until
from feldsher_tools.place import ServiceError, find_place
from feldsher_tools.stack import Demo, Stack, running

BLOOD_PRESSURE = "85354-9"
READINGS = ((132, 84), (141, 91), (128, 82))
"""Systolic and diastolic in mmHg: what the virtual home patient measures."""
PAUSE_S = 90.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass through the line took, in seconds, and what it lost or repeated (readings and recordings).

    `ecg_order_to_report_s` holds the ten seconds of the recording itself; `ecg_end_to_report_s` runs from the last
    sample at the gateway to the report at the API, `bp_to_record_s` from the cuff's hang-up to the Observation there.
    """

    ecg_order_to_report_s: float
    ecg_end_to_report_s: float
    bp_to_record_s: float
    lost: int
    duplicated: int
    samples_lost: int
    conclusion: str


def measure(stack: Stack, client: Client, say: Callable[[str], None]) -> Measured:
    """Order one ECG, take blood pressures, and measure until each is visible through the API."""
    demo = _seeded(stack)
    to_report_s, end_to_report_s, report = _ecg(client, demo, say)
    to_record_s = [_blood_pressure(stack, client, demo, values, say) for values in READINGS]
    pressures, reports = _pressures(client, demo), client.search("DiagnosticReport", patient=demo.patients[0])
    distinct = len({_key(resource) for resource in (*pressures, *reports)})
    return Measured(
        ecg_order_to_report_s=round(to_report_s, 3),
        ecg_end_to_report_s=round(end_to_report_s, 3),
        bp_to_record_s=round(max(to_record_s), 3),
        lost=len(READINGS) + 1 - distinct,
        duplicated=len(pressures) + len(reports) - distinct,
        samples_lost=_samples_lost(stack),
        conclusion=str(report["conclusion"]),
    )


def _seeded(stack: Stack) -> Demo:
    if stack.demo is None:
        raise ServiceError("the stack has not been started")
    return stack.demo


def _ecg(client: Client, demo: Demo, say: Callable[[str], None]) -> tuple[float, float, Resource]:
    say("the doctor orders an ECG …")
    start = time.time()
    order = client.order_ecg(demo.patients[0], demo.cardiograph)
    based_on = f"ServiceRequest/{order}"
    (report,), visible = until(lambda: client.search("DiagnosticReport", **{"based-on": based_on}), timeout_s=90)
    picture = client.picture(report)
    if report["status"] != "preliminary" or b"<svg" not in picture:
        raise ServiceError(f"the report is {report['status']} and its picture {picture[:40]!r}")
    ended = datetime.fromisoformat(report["effectivePeriod"]["end"]).timestamp()
    say(f"the report is visible, unconfirmed: {report['conclusion'].splitlines()[-1]}")
    return visible - start, visible - ended, report


def _blood_pressure(
    stack: Stack, client: Client, demo: Demo, values: tuple[int, int], say: Callable[[str], None]
) -> float:
    known = len(_pressures(client, demo))
    systolic, diastolic = values
    mark = stack.simulator.measure([values])

    def news() -> list[Resource]:
        found = _pressures(client, demo)
        return found if len(found) > known else []

    _, visible = until(news, timeout_s=90)
    hung_up = stack.simulator.hung_up(mark)["at_us"] / 1e6
    say(f"a blood pressure of {systolic}/{diastolic} is in the record")
    return max(0.0, visible - hung_up)  # a reading may be visible before the cuff has hung up


def _pressures(client: Client, demo: Demo) -> list[Resource]:
    return client.search("Observation", patient=demo.patients[0], code=BLOOD_PRESSURE)


def _key(resource: Resource) -> str:
    """Return what two copies of one measurement would share: the time and what was measured, whatever their ids."""
    parts = ("effectiveDateTime", "effectivePeriod", "component", "basedOn")
    return json.dumps([resource["resourceType"], *(resource.get(part) for part in parts)])


def _samples_lost(stack: Stack) -> int:
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute("select sum(lost)::int from ecg_recording").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def keep_alive(stack: Stack, say: Callable[[str], None], stopping: threading.Event) -> None:
    """Let the home patient measure now and then until told to stop."""
    rng = random.Random(7)  # noqa: S311 (a demo patient)
    while not stopping.wait(PAUSE_S):
        systolic = rng.randint(118, 152)
        stack.simulator.measure([(systolic, round(systolic * 0.6) + rng.randint(-4, 4))])
        say("the home patient has measured a blood pressure")


def _welcome(stack: Stack) -> str:
    rows = [f"    {role:<11} {name:<11} {password}" for name, password, role in _seeded(stack).accounts]
    return "\n".join(
        [
            "",
            f"  The workstation: {stack.api_url}",
            "    role        name        password",
            *rows,
            "",
            "  Sign in as the doctor, open a patient, order an ECG: the virtual cardiograph takes it in ten seconds.",
            f"  FHIR: {stack.api_url}/fhir/metadata    Logs: {stack.logs}",
            "  Everybody here is invented. Ctrl-C ends the demo and removes its data.",
        ]
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(
    once: Annotated[bool, typer.Option("--once", help="One ECG and three blood pressures, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measured times as JSON in the last line.")] = False,
    record: Annotated[
        Path | None, typer.Option(exists=True, help="Play this recording (WFDB .hea) instead of a synthetic patient.")
    ] = None,
    patient: Annotated[str, typer.Option(help="The synthetic patient that lies on the cardiograph.")] = "normal",
) -> None:
    """Run the whole line: order, cardiograph, interpretation, MQTT, database, record, doctor; and a cuff."""
    source = ("--record", str(record.resolve())) if record else ("--patient", patient)
    place = find_place()
    directory = place.make_directory(place.base / f"demo-{os.getpid()}")
    stack = Stack(place, directory, tag=f"demo-{os.getpid()}", say=_say, simulate=source, existing=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with running(stack):
            client = Client(stack.api_url, *_seeded(stack).client)
            measured = measure(stack, client, _say)
            client.close()
            if not once:
                _say(_welcome(stack))
            print(json.dumps(asdict(measured)) if as_json else _table(measured), flush=True)
            if not once:
                keep_alive(stack, _say, threading.Event())
    except KeyboardInterrupt:
        _say("\nending the demo …")
    except (ServiceError, TimeoutError) as error:
        _say(f"./run demo: {error}\nThe logs are kept in {stack.logs}")
        raise typer.Exit(1) from error
    shutil.rmtree(directory, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _table(measured: Measured) -> str:
    return "\n".join(f"  {name:<24} {value}" for name, value in asdict(measured).items())


def main() -> None:
    """Run the command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    app(prog_name="./run demo")


if __name__ == "__main__":
    main()
