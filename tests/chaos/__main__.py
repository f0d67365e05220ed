"""Run fault plans and print a table of what became of every text.

    PYTHONPATH=tests python -m chaos [PLAN ...] [--system hanner|celery|celery-batches] [--seed 1] [--scale 1.0]

Exits 1 when anything was lost, hung, wrong or told twice. The stock systems are there to be compared with; they are
run with the same plans, and celery-batches from an environment of its own (`make .venv-batches`).
"""

import argparse
import sys

from chaos.fleet import HANNER
from chaos.plans import PLANS
from chaos.run import execute
from chaos.table import HEAD, line, remarks
from support.systems import CELERY, CELERY_BATCHES

SYSTEMS = {system.name: system for system in (HANNER, CELERY, CELERY_BATCHES)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=", ".join(PLANS))
    parser.add_argument("--system", choices=SYSTEMS, default="hanner")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the plan's texts and faults")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    options = parser.parse_args()
    for name in options.plans:
        if name not in PLANS:
            parser.error(f"there is no plan {name!r}; there are {', '.join(PLANS)}")
    print(HEAD, flush=True)
    good = True
    for name in options.plans or PLANS:
        row = execute(PLANS[name], SYSTEMS[options.system], seed=options.seed, scale=options.scale, keep=options.keep)
        print(line(row, PLANS[name]), flush=True)
        for remark in remarks(row):
            print(f"    {remark}", flush=True)
        good = good and row.good
    sys.exit(0 if good or options.system != "hanner" else 1)


if __name__ == "__main__":
    main()
