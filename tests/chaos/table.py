"""Formats results as rows of a Markdown table."""

COLUMNS = [
    "plan",
    "system",
    "seed",
    "faults",
    "sent",
    "answered",
    "named error",
    "dead letters",
    "unanswered",
    "lost",
    "hung",
    "duplicates",
    "recovery",
    "run",
]
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def line(result, plan):
    """Return the row of one run."""
    a = result.audit
    cells = [
        plan.description,
        result.system,
        result.seed,
        f"{result.faults:,}",
        f"{a.sent:,}",
        f"{a.answered:,}",
        sum(a.failed.values()),
        a.dead,
        a.unanswered,
        a.lost,
        a.hung,
        a.duplicates,
        "-" if result.recovery is None else f"{result.recovery:.1f} s",
        f"{result.seconds:.0f} s",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def remarks(result):
    """Yield the details of a run that have no column."""
    a = result.audit
    if a.failed:
        yield f"named errors: {a.failed}"
    if a.deaths:
        yield f"process deaths per dead letter: at most {a.deaths}"
    if a.wrong:
        yield f"WRONG answers: {a.wrong}"
    if result.refused:
        yield f"refused by the client and sent again: {result.refused}"
    if a.repeated:
        yield f"given to the model more than once: {a.repeated}"
    if a.examples:
        yield f"lost or hung, for example: {', '.join(a.examples)}"
    yield from result.unexpected
    yield from result.notes
