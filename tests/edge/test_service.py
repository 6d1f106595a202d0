"""The daemon as a program of its own: the same process, without what only the command line needs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from feldsher_edge.service import main


def test_it_loads_nothing_of_the_command_line() -> None:
    program = "import sys, feldsher_edge.service, feldsher_edge.daemon; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"typer", "click", "numba", "starlette", "uvicorn", "jinja2"})


def test_the_process_stays_the_same_and_what_the_environment_sets_wins(tmp_path: Path) -> None:
    # a package of the same name stands in for the daemon and tells what it was started with
    stand_in = tmp_path / "feldsher_edge"
    stand_in.mkdir()
    (stand_in / "__init__.py").touch()
    (stand_in / "service.py").write_text(
        "import os, sys\n"
        "print(os.getpid(), sys.argv[1:], os.environ['MALLOC_ARENA_MAX'], os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    program = textwrap.dedent(
        """
        import os
        from pathlib import Path
        from feldsher_edge.service import become
        print(os.getpid(), flush=True)
        os.environ.update(PYTHONPATH=os.environ["STAND_IN"], OPENBLAS_NUM_THREADS="2")
        become(Path("/etc/edge.toml"))
        """
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | {"STAND_IN": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    before, after = done.stdout.splitlines()
    assert after == f"{before} ['/etc/edge.toml'] 1 2"


def test_a_faulty_configuration_is_told_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text("[mqtt]\nport = 0")
    assert main([str(tmp_path / "edge.toml")]) == 2
    assert main([str(tmp_path / "absent.toml")]) == 2
