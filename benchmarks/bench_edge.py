"""The gateway: a day of twenty devices in minutes with everything going wrong, its memory and processor, a storm.

`--minutes N` sets the length of the soak (a minute is enough; ten leave the machine some air).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence

import budget
import reconnect
import soak
import structlog
from installation import installed

_MINUTES = 0.8


def say(text: str) -> None:
    """Tell a step on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code: 1 where a reading was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="real minutes that the day of the soak takes")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with installed() as at:
        say(f"soak: a day of twenty devices in {options.minutes:g} min")
        out = soak.Trial(at, options.minutes, options.seed, say).run()
        out |= budget.commits(at) | budget.measure(at, say) | reconnect.measure(at, say)
    if options.json:
        print(json.dumps(out))
    else:
        for name, value in out.items():
            print(f"{name:>26}  {value}")
    return 1 if out["lost"] or out["duplicated"] or out["times_wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
