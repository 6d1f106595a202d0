"""What is frozen into the kit's image (MicroPython's manifest language); tests/firmware/test_budget.py weighs it."""

# ruff: noqa: F821
import os

include("$(MPY_DIR)/extmod/asyncio")
module("_boot.py")
module("main.py")
package("kit")
module("frame.py", base_path="../signal/feldsher_signal")
module("artefact.py", base_path="../signal/feldsher_signal")
module("board.py", base_path="boards/FELDSHER_KIT_S3")
# Version, sequence and release key: written for each release, those of development otherwise.
module("release.py", base_path=os.environ.get("FELDSHER_KIT_RELEASE", "."))
