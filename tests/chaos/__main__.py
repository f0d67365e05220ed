"""Run fault plans and print a table of the outcomes of all texts.

    PYTHONPATH=tests python -m chaos [PLAN ...] [--system hanner|celery|celery-batches] [--seed 1] [--scale 1.0]

Exits with 1 if a text was lost, hung, wrong or duplicated. The other systems are for comparison: they run the same
plans, celery-batches in its own environment (`make .venv-batches/bin/celery`).
"""

import argparse
import sys

from chaos.plans import PLANS
from chaos.run import execute
from chaos.table import HEAD, line, remarks
from chaos.worker_group import HANNER
from support.servers import choose_server
from support.systems import CELERY, CELERY_BATCHES

SYSTEMS = {system.name: system for system in (HANNER, CELERY, CELERY_BATCHES)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=", ".join(PLANS))
    parser.add_argument("--system", choices=SYSTEMS, default="hanner")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the plan's texts and faults")
    parser.add_argument("--keep", action="store_true", help="keep the logs even if the run passes")
    options = parser.parse_args()
    choose_server()
    for name in options.plans:
        if name not in PLANS:
            parser.error(f"unknown plan {name!r}; choose from {', '.join(PLANS)}")
    print(HEAD, flush=True)
    passed = True
    for name in options.plans or PLANS:
        plan, system = PLANS[name], SYSTEMS[options.system]
        result = execute(plan, system, seed=options.seed, scale=options.scale, keep=options.keep)
        print(line(result, plan), flush=True)
        for remark in remarks(result):
            print(f"    {remark}", flush=True)
        passed = passed and result.passed
    sys.exit(0 if passed or options.system != "hanner" else 1)


if __name__ == "__main__":
    main()
