"""Starts the whole firmware on the workbench: `micropython start.py FOLDER LINE PACE [SAMPLES]` (fakes/bench.py)."""

import sys

import run


def main() -> None:
    """Start it, once the path is set."""
    from bench import start

    start(sys.argv[1:])


if __name__ == "__main__":
    assert run.ROOT
    main()
