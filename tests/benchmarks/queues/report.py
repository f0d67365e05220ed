"""The table, the ratios and the plot of the results."""

PLAIN, BATCHES = "plain Celery task", "celery-batches"
HEAD = (
    f"{'':<34}{'sent/s':>9}{'processed/s':>12}{'client':>8}{'parent':>8}{'child':>8}{'Redis':>8}"
    f"{'commands':>10}{'trips':>7}{'p50 ms':>9}{'p99 ms':>9}"
)


def table(rows):
    """Return the table as text; times are µs of CPU time per text."""
    return "\n".join([HEAD, *map(line, rows)])


def line(row):
    """Return the line of one row."""
    return (
        f"{label(row):<34}{row.enqueued:>9,.0f}{row.consumed:>12,.0f}{row.client:>8.1f}{row.parent:>8.1f}"
        f"{row.child:>8.1f}{row.redis:>8.1f}{row.commands:>10.2f}{row.round_trips:>7.2f}{row.p50:>9.2f}{row.p99:>9.2f}"
    )


def label(row):
    events = "" if row.events else ", no events"
    return f"{row.scenario}{events or ('' if row.listener else ', unread events')}"


def same_events(row, other):
    return (row.events, row.listener) == (other.events, other.listener)


def ratios(rows):
    """Return sentences that compare hanner with the others in rate and CPU time."""
    lines = []
    for row in rows:
        for other in rows:
            if other.scenario in {PLAIN, BATCHES} and row.scenario.startswith("hanner") and same_events(row, other):
                rate, cpu = row.consumed / other.consumed, other.cpu / row.cpu
                lines.append(
                    f"{label(row)}: {rate:.1f} times the texts/s of {other.scenario}, {cpu:.1f} times less CPU time"
                )
    return lines


def plot(rows, path):
    """Plot rates and CPU times to a file; its suffix determines the format."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only the plot needs it

    labels, positions = [label(row) for row in rows], range(len(rows))
    figure = Figure(figsize=(12, 0.5 * len(rows) + 1.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh([position - 0.2 for position in positions], [row.consumed for row in rows], 0.4, label="processed")
    left.barh(
        [position + 0.2 for position in positions], [row.enqueued for row in rows], 0.4, label="sent by one process"
    )
    left.set(xscale="log", xlabel="texts per second", yticks=list(positions), yticklabels=labels)
    left.invert_yaxis()
    start = [0.0] * len(rows)
    for part in ("client", "parent", "child", "redis"):
        widths = [getattr(row, part) for row in rows]
        right.barh(list(positions), widths, left=start, label=part)
        start = [one + other for one, other in zip(start, widths, strict=True)]
    right.set(xlabel="CPU time per text, µs")
    for axes in (left, right):
        axes.legend()
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)
