"""The virtual Cyton before a driver that is not ours: BrainFlow's, in a process of its own, reads the same samples."""

import asyncio
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.devices.cyton_packet import uv_per_bit
from feldsher_edge.simulate.cyton import VirtualCyton
from feldsher_edge.simulate.serial_bench import Ramp

pytest.importorskip("brainflow", reason="BrainFlow, a development dependency, has no wheel for this machine")

READER = """
import json, sys, time
from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams
BoardShim.disable_board_logger()
params = BrainFlowInputParams()
params.serial_port, params.timeout = sys.argv[1], 4
board = BoardShim(BoardIds.CYTON_BOARD, params)
board.prepare_session()
board.start_stream()
while board.get_board_data_count() < 500:
    time.sleep(0.02)
board.stop_stream()
data = board.get_board_data(500)
board.release_session()
eeg = BoardShim.get_eeg_channels(BoardIds.CYTON_BOARD)
rate = BoardShim.get_sampling_rate(BoardIds.CYTON_BOARD)
print(json.dumps({"rate": rate, "counts": data[0].tolist(), "uv": [data[i].tolist() for i in eeg]}))
"""


async def test_brainflows_own_driver_reads_our_board_exactly(tmp_path: Path):
    board = VirtualCyton(Ramp(), tmp_path / "cyton", random.Random(1))  # noqa: S311 - faults
    board.plug_in()
    try:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-c", READER, board.port, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(reader.communicate(), 30)
        assert reader.returncode == 0
        found = json.loads(out.splitlines()[-1])
    finally:
        board.unplug()
    assert found["rate"] == 250
    first = int(found["counts"][0])
    assert [int(count) for count in found["counts"]] == [(first + n) % 256 for n in range(500)]
    units = np.array(found["uv"]) / uv_per_bit(24)
    np.testing.assert_allclose(units, Ramp().units(first + 500, 250.0, 1.0)[:, first:], atol=1e-6)
