"""The table, the ratios and the plot of what was measured."""

PLAIN, BATCHES = "plain Celery task", "celery-batches"
HEAD = (
    f"{'':<34}{'sent/s':>9}{'answered/s':>12}{'client':>8}{'parent':>8}{'child':>8}{'Redis':>8}"
    f"{'commands':>10}{'trips':>7}{'p50 ms':>9}{'p99 ms':>9}"
)


def table(rows):
    """Return a line per row; times are µs of processor time per text."""
    return "\n".join([HEAD, *map(line, rows)])


def line(row):
    """Return one row's line."""
    return (
        f"{label(row):<34}{row.enqueued:>9,.0f}{row.consumed:>12,.0f}{row.client:>8.1f}{row.parent:>8.1f}"
        f"{row.child:>8.1f}{row.redis:>8.1f}{row.commands:>10.2f}{row.round_trips:>7.2f}{row.p50:>9.2f}{row.p99:>9.2f}"
    )


def label(row):
    return f"{row.contender}{'' if row.events else ', no events'}"


def ratios(rows):
    """Return how hanner compares with the others, by the clock and by processor time, in sentences."""
    found = []
    for row in rows:
        for other in rows:
            if (
                other.contender in {PLAIN, BATCHES}
                and row.contender.startswith("hanner")
                and row.events == other.events
            ):
                rate, processor = row.consumed / other.consumed, other.processor / row.processor
                found.append(
                    f"{label(row)}: {rate:.1f} times the texts/s of {other.contender}, "
                    f"{processor:.1f} times less processor time"
                )
    return found


def plot(rows, path):
    """Draw rates and processor time side by side; the file's ending says which format."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the table does without

    labels, places = [label(row) for row in rows], range(len(rows))
    figure = Figure(figsize=(12, 0.5 * len(rows) + 1.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh([place - 0.2 for place in places], [row.consumed for row in rows], 0.4, label="answered")
    left.barh([place + 0.2 for place in places], [row.enqueued for row in rows], 0.4, label="sent by one process")
    left.set(xscale="log", xlabel="texts per second", yticks=list(places), yticklabels=labels)
    left.invert_yaxis()
    start = [0.0] * len(rows)
    for part in ("client", "parent", "child", "redis"):
        widths = [getattr(row, part) for row in rows]
        right.barh(list(places), widths, left=start, label=part)
        start = [one + other for one, other in zip(start, widths, strict=True)]
    right.set(xlabel="processor time per text, µs")
    for axes in (left, right):
        axes.legend()
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)
