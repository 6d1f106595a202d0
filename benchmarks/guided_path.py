"""From a claim to the first reading by `feldsher-edge setup`, with virtual devices: seconds, steps, questions.

`python benchmarks/guided_path.py --json`. The goal is two minutes; what a person takes to fasten a cuff is not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from feldsher_cloud_api import ca
from feldsher_edge.link import tls_context
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import INGEST_USERS
from feldsher_tools.dbus import DBus
from feldsher_tools.guided import GuidedPath, Walked
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.office import Office
from feldsher_tools.place import find_place
from feldsher_tools.services import client_files, listener_files


def measure() -> dict[str, float]:
    """Walk the path once on an installation of its own; return its figures, ValueError where it did not lead there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="feldsher-guided-")))
        place, authority = find_place(), ca.create(folder / "ca")
        broker = stack.enter_context(Mosquitto(place, folder / "mosquitto", listener_files(authority), name="guided"))
        bus = stack.enter_context(DBus(place, name="guided-dbus"))
        files = client_files(authority, INGEST_USERS[0])
        tls = tls_context(files.ca, files.certificate, files.key)
        cloud = stack.enter_context(VirtualCloud("127.0.0.1", broker.port, tls))
        office = Office(folder / "office", authority, broker=("127.0.0.1", broker.port))
        stack.callback(office.close)
        path = GuidedPath(folder, bus)
        stack.callback(path.close)
        walked = path.walk(office.claim())
        cloud.wait(lambda c: bool(c.of(wire.VitalsBatch)))
    if walked.code:
        raise ValueError(walked.shown)
    return figures(walked)


def figures(walked: Walked) -> dict[str, float]:
    """Return the figures: without options a person answers claim, each device, each name."""
    devices = len(walked.told["devices"])
    return {
        "guided_s": round(walked.seconds, 1),
        "guided_steps": len(walked.steps),
        "guided_questions": 1 + 2 * devices,
        "guided_devices": devices,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Walk the path and tell the figures; 1 where it took more than two minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(argv)
    out = measure()
    print(json.dumps(out) if options.json else "\n".join(f"{name:>18}  {value}" for name, value in out.items()))
    return 1 if out["guided_s"] > 120 else 0


if __name__ == "__main__":
    sys.exit(main())
