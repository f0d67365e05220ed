"""Fault injection under load: a client sends texts, a seeded plan breaks things, and an audit counts the outcomes.

`make chaos` runs every plan. `PYTHONPATH=tests python -m chaos --help` shows how to run one of them. The results are in
docs/explanation/reliability.md.
"""
