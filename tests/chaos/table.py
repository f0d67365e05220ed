"""Rows of a Markdown table."""

COLUMNS = [
    "plan",
    "system",
    "seed",
    "faults",
    "sent",
    "answered",
    "named error",
    "dead letters",
    "unacknowledged",
    "lost",
    "hung",
    "twice",
    "recovery",
    "run",
]
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def line(row, plan):
    """Return one line."""
    a = row.audit
    cells = [
        plan.what,
        row.system,
        row.seed,
        f"{row.faults:,}",
        f"{a.sent:,}",
        f"{a.answered:,}",
        sum(a.failed.values()),
        a.dead,
        a.left,
        a.lost,
        a.hung,
        a.twice,
        "-" if row.recovery is None else f"{row.recovery:.1f} s",
        f"{row.seconds:.0f} s",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def remarks(row):
    """Return what is to be said besides."""
    a = row.audit
    if a.failed:
        yield f"named errors: {a.failed}"
    if a.deaths:
        yield f"processes that died under one dead letter: at most {a.deaths}"
    if a.wrong:
        yield f"WRONG answers: {a.wrong}"
    if row.refused:
        yield f"not accepted, and sent again: {row.refused}"
    if a.repeated:
        yield f"given to the model more than once: {a.repeated}"
    if a.examples:
        yield f"lost or hung, for example: {', '.join(a.examples)}"
    yield from row.unmeant
    yield from row.notes
