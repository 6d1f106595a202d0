"""Which firmware this is, and whose updates it takes. This is the one of development: without a key it takes none.

A release freezes another file of this name (`python -m feldsher_tools.kit_firmware stage`); `MARK` lets the tool that
packs an update find these facts in the finished image.
"""

VERSION = "0.1.0-dev"
SEQUENCE = 1
"""Orders releases: an update must be above the running one and above every confirmed one."""
BOARD = "FELDSHER_KIT_S3"
KEY = b""
"""The release key (P-256): x and y, 32 bytes each."""
MARK = "feldsher kit firmware 0.1.0-dev sequence 1 for FELDSHER_KIT_S3"
