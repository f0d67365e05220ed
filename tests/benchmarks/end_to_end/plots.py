"""Draw the plots of docs/benchmarks.md as SVG from the results."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.end_to_end.checks import ALONE, MANY, ONE, full_load, rate, title

COLOURS = {ALONE: "#9aa0a6", ONE: "#1a73e8", MANY: "#0b8043"}
SETTINGS = {
    "svg.hashsalt": "hanner",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Settings that make the files reproducible."""


def draw(results: Mapping, folder: Path) -> list[str]:
    """Draw the plots of all sections in the results; return the names of all plots in the folder."""
    import matplotlib as mpl

    drawn = []
    with mpl.rc_context(SETTINGS):
        for name, make in (("throughput", throughput), ("latency", latency), ("compare", compare)):
            if name in results:
                figure = make(results[name]["data"])
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")
                drawn.append(name)
    return drawn + (["queue"] if (folder / "queue.svg").exists() else [])


def new_figure(width, height, columns=1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def throughput(rows):
    """Return a bar chart of the rates by number of processes, with one plot per model."""
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    figure, axes = new_figure(4.2 * len(sizes), 3.2, len(sizes))
    for axis, size in zip(axes, sizes, strict=True):
        size_rows = [row for row in rows if row["size"] == size]
        for number, way in enumerate((ALONE, ONE, MANY)):
            positions = [position + (number - 1) * 0.27 for position in range(len(size_rows))]
            bars = axis.bar(positions, [rate(row, way) for row in size_rows], 0.25, color=COLOURS[way], label=way)
            axis.bar_label(bars, fmt="{:,.0f}", fontsize=8)
        axis.set_xticks(
            range(len(size_rows)), [f"{row['processes']} process{'es' * (row['processes'] > 1)}" for row in size_rows]
        )
        axis.set(title=plain_title(size_rows[0]), ylabel="texts per second")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def latency(rows):
    """Return a line chart of percentiles by load, with the durations of batches, with one plot per model."""
    figure, axes = new_figure(4.2 * len(rows), 3.6, len(rows))
    for axis, row in zip(axes, rows, strict=True):
        loads = [load["load"] for load in row["loads"]]
        for mark, colour in (("p50", "#0b8043"), ("p95", "#1a73e8"), ("p99", "#d93025")):
            axis.plot(loads, [load[mark] for load in row["loads"]], "o-", color=colour, label=mark)
        durations = [load["batches"]["took_ms"] for load in row["loads"]]
        axis.plot(loads, durations, ":", color="#5f6368", label="a batch, median")
        axis.axhline(row["full"]["took_ms"], ls="--", lw=1, color="#9aa0a6", label="a full batch")
        axis.set(title=plain_title(row), xlabel="load, % of capacity", ylabel="ms", yscale="log", ylim=(1, None))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    return figure


def compare(rows):
    """Return a bar chart of texts per second of all systems, with one plot per model."""
    figure, axes = new_figure(4.5 * len(rows), 2.8, len(rows))
    for axis, row in zip(axes, rows, strict=True):
        names = list(row["systems"])
        colours = [COLOURS[ONE] if name == "hanner" else COLOURS[ALONE] for name in names]
        bars = axis.barh(names, [full_load(row, name) for name in names], color=colours)
        axis.bar_label(bars, fmt="{:,.1f}" if row["size"] == "base" else "{:,.0f}", fontsize=8, padding=2)
        axis.axvline(full_load(row, ALONE), ls="--", lw=1, color="#5f6368")
        axis.invert_yaxis()
        axis.set(title=f"{plain_title(row)} (dashed: engine alone)", xlabel="texts per second, full load")
    return figure


def plain_title(row) -> str:
    return title(row).strip("`")
