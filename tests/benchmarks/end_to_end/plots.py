"""The plots of docs/benchmarks.md, as SVG, from results.json's content."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.end_to_end.checks import ALONE, MANY, ONE, rate
from benchmarks.end_to_end.page import full_load

COLOURS = {ALONE: "#9aa0a6", ONE: "#1a73e8", MANY: "#0b8043"}
SETTINGS = {
    "svg.hashsalt": "hanner",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""The same figures give the same file."""


def draw(results: Mapping, folder: Path) -> list[str]:
    """Draw what there are figures for; return the names, also of the queue's plot if its benchmark left one."""
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
    """Bars: each way of each model and number of processes, one plot per size."""
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    figure, axes = new_figure(9, 3.2, len(sizes))
    for axis, size in zip(axes, sizes, strict=True):
        own = [row for row in rows if row["size"] == size]
        for number, way in enumerate((ALONE, ONE, MANY)):
            places = [place + (number - 1) * 0.27 for place in range(len(own))]
            bars = axis.bar(places, [rate(row, way) for row in own], 0.25, color=COLOURS[way], label=way)
            axis.bar_label(bars, fmt="{:,.0f}", fontsize=8)
        axis.set_xticks(range(len(own)), [f"{row['processes']} process{'es' * (row['processes'] > 1)}" for row in own])
        axis.set(title=f"{size} size", ylabel="texts per second")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def latency(data):
    """Lines: percentiles over the load, with what a batch takes."""
    figure, (axis,) = new_figure(7, 3.6)
    loads = [row["load"] for row in data["loads"]]
    for mark, colour in (("p50", "#0b8043"), ("p95", "#1a73e8"), ("p99", "#d93025")):
        axis.plot(loads, [row[mark] for row in data["loads"]], "o-", color=colour, label=mark)
    took = [row["batches"]["took_ms"] for row in data["loads"]]
    axis.plot(loads, took, ":", color="#5f6368", label="a batch, median")
    axis.axhline(data["full"]["took_ms"], ls="--", lw=1, color="#9aa0a6", label="a full batch")
    axis.set(xlabel="load, % of capacity", ylabel="ms", yscale="log", ylim=(1, None))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return figure


def compare(rows):
    """Bars: texts per second of all systems, one plot per size."""
    figure, axes = new_figure(9, 2.8, len(rows))
    for axis, row in zip(axes, rows, strict=True):
        names = list(row["systems"])
        colours = [COLOURS[ONE] if name == "hanner" else COLOURS[ALONE] for name in names]
        bars = axis.barh(names, [full_load(row, name) for name in names], color=colours)
        axis.bar_label(bars, fmt="{:,.1f}" if row["size"] == "base" else "{:,.0f}", fontsize=8, padding=2)
        axis.axvline(full_load(row, ALONE), ls="--", lw=1, color="#5f6368")
        axis.invert_yaxis()
        axis.set(title=f"{row['size']} size (dashed: engine alone)", xlabel="texts per second, full load")
    return figure
