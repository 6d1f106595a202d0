"""A sheet with one of everything, for the tests of the formats."""

from __future__ import annotations

import numpy as np
from feldsher_signal import draw_sheet
from feldsher_signal.draw_sheet import RED, Box, Clip, Path, Sheet, Text, Trace

CORNERS = np.array([[0, 0, 1], [100, -500, 0], [200, 300, 0], [400, 0, 1]], np.int32)
SHEET = Sheet(
    60,
    40,
    (
        *draw_sheet.paper(5, 5, 50, 30),
        Clip(5, 5, 20, 30, (Box(0, 10, 60, 5, "#0000ff", opacity=0.5), Trace(10, 20, CORNERS))),
        Box(30, 6, 20, 8, "#ffffff", RED, 0.5),
        Path((((30.0, 20.0), (40.0, 20.0)),), RED, 1.0, dash=2),
        Path((((42.0, 20.0), (46.0, 20.0), (44.0, 24.0)),), "", 0, "#00ff00"),
        Text(40, 12, "Ж ≥ 5 <b> & c", 4, True, RED, "middle", "#ffffff"),
        Text(55, 30, "faint", 3, anchor="end", opacity=0.3),
    ),
    "One <sheet> & more",
)
