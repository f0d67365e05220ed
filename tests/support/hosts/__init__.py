"""Programs that use hanner as its users do: each calls every action of `actions.py` from within a framework.

`python -m support.hosts.HOST ORIGIN` exits with 0 if all actions succeeded. The last steps of its canvases record their
runs under the key `[ORIGIN, ACTION]`; see support/other_app.py.
"""
