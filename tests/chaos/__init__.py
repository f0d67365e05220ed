"""Faults under load: a producer with a ledger, workers, a fault plan with a seed, and a count of what became of it all.

`make chaos` runs every plan, and `PYTHONPATH=tests python -m chaos --help` says how to run one. The figures stand in
docs/reliability.md.
"""
