"""How much memory the kit takes: `micropython heap.py FOLDER MODULES` prints bytes at rest and for a recorded second.

Run from compiled modules (test_budget.py), so that no compiler is in the heap; the modules themselves are frozen on a
kit, and are left out.
"""

import gc
import sys

import run


def main(folder: str) -> None:
    """Build the kit as on its board and record; print what each took."""
    import board
    import frame
    from front_end import FrontEnd, Source
    from kit.app import App
    from workbench import bench

    bench.folder = folder
    front_end = FrontEnd(Source())
    bench.wire(front_end, board.SELECT, board.START, board.RESET)
    gc.collect()
    before = gc.mem_alloc()
    app = App(board.hardware())
    gc.collect()
    resident = gc.mem_alloc() - before
    kit = app.kit
    kit.answer(app.line, frame.CMD_START, 1, frame.pack_start(0))
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(500):
        front_end.pulses += 1
        kit.sampler.drdy(None)  # pyright: ignore[reportArgumentType] - it does not look at the pin
        kit.sampler.next_frame()
        kit.sampler.ring.release()
    second = gc.mem_alloc() - before
    gc.enable()
    gc.collect()
    print(resident, second)


if __name__ == "__main__":
    assert run.ROOT  # it sets the path
    sys.path.insert(0, sys.argv[2])
    main(sys.argv[1])
