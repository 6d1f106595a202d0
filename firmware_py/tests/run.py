"""Runs the unit tests of one file under MicroPython: `micropython tests/run.py tests/test_NOUN.py FOLDER`.

Prints `ok NAME` or `FAILED NAME` with its traceback for each function test_*; each gets an empty folder for its flash.
"""

import os
import sys

HERE = __file__.rpartition("/")[0]
ROOT = HERE.rpartition("/")[0]
sys.path[:0] = [
    HERE,
    HERE + "/fakes",
    ROOT,
    ROOT + "/boards/FELDSHER_KIT_S3",
    ROOT + "/../signal/feldsher_signal",
]


def main(name: str, folder: str) -> int:
    """Run every test of a file; return how many failed."""
    from workbench import bench

    module = __import__(name)
    failed = 0
    for number, test in enumerate(sorted(each for each in dir(module) if each.startswith("test_"))):
        bench.__init__()
        bench.folder = folder + "/" + str(number)
        os.mkdir(bench.folder)
        try:
            getattr(module, test)()
            print("ok", test)
        except Exception as error:
            failed += 1
            print("FAILED", test)
            sys.print_exception(error)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2]) else 0)
