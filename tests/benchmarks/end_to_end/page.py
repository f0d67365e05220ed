"""docs/benchmarks.md and the READMEs' figures, from results.json's content and nothing else. Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.end_to_end.checks import ALONE, MANY, ONE, checks, rate, share

SHORT = 0.9
"""Runs of a smaller share of the usual time are marked."""
BUSY = 0.05
"""A machine of whose cores other work took a larger share before a section began was not idle."""
HEAD = """\
# Benchmarks

Written by `make bench` from [results.json](benchmarks/results.json); change neither by hand. The code is in
`tests/benchmarks/end_to_end`. What is compared was measured in the same run, taking turns, and figures are medians over
the turns: read the ratios first, they carry over to other machines better than texts per second.
"""
TITLES = {
    "throughput": "Through the queue, and the engine alone",
    "latency": "Latency",
    "cold": "Cold start",
    "compare": "Beside other ways to serve a model",
    "queue": "The queue by itself",
}
THROUGHPUT = """\
The engine alone is as many processes that hold the model and are given texts in lists, with no queue anywhere. Through
the queue are hanner's client, Redis, and a worker with as many processes, events on. Where there are as many processes
as cores, client, Redis and the worker's parent take their time from the processes: that is the harder case.
`one text per task` keeps {window} requests under way, `extract_many` sends lists as long as the engine alone is given.
"""
CPU = """\
Milliseconds of CPU time that a text takes in each part, {size} size, {processes} processes:
"""
IDLE = """\
One text of {text} characters at a time, on an idle system, by the blocking client, taking turns with the engine alone:
"""
LOADS = """\
Texts come at random moments (Poisson), whether or not earlier ones are answered, and time counts from the moment at
which each was due. 100 % is the {capacity:,.0f} texts/s that {processes} processes did just before, with as many
requests waiting as they could use; their batches then held {full[texts]:.0f} texts and took {full[took_ms]:.1f} ms.
`batch` is the median from a batch's start until its results are stored, at that load.
"""
MEMORY = """\
Proportional set size (PSS) of the worker, parent and processes, in MB: shared pages count once. Redis is not in it.
"""
COLD = """\
Seconds from starting the program to the first answer, files in the page cache; the worker has {processes} processes.
"""
COMPARE = """\
{size} size, {processes} processes each, texts as above, one text per request. All but ModelScope run the engine and
package that hanner runs, so what differs is how texts reach it. Systems take turns; what serves by HTTP is stopped
while others are measured. Full load is {window} requests under way. p50 and p99, in ms, are at {rate:,.0f} texts/s for
all, half of what hanner does at full load, arrivals at random; a dash means that the system cannot keep up with that.
`one text` is the median of one text at a time on an idle system. `CPU` is the server's time for a text at full load,
Redis included, which other work on the machine changes least. Memory is PSS at full load, without Redis. hanner and
Celery keep texts and results in Redis and on disk; the others keep nothing.
"""
PEERS = """\
- `mosec` and `LitServe`: batches of up to 32, gathered for at most 5 ms; LitServe with one API server.
- `plain Celery`: one text per task, prefork, the model opened before the fork, `-O fair`, prefetch 16, no events;
  hanner's client drives it, which costs less than Celery's own.
- `ModelScope + Flask`: ModelScope's own pipeline and model class with random weights of base size, FP32, one text at a
  time, behind gunicorn with sync workers of one thread each. It has {slow} requests under way, in one turn, and
  gets only texts of whose characters its vocabulary has all: its tokenizer raises an error at others.
"""


def render(results: Mapping, pictures: Iterable[str] = ()) -> str:
    """Return the page; `pictures` names those that were drawn, as `throughput` for benchmarks/throughput.svg."""
    parts = [HEAD, must_show(results), *warnings(results)]
    writers = {"throughput": throughput, "latency": latency, "cold": cold, "compare": compare, "queue": queue}
    for name, write in writers.items():
        if name in results:
            picture = f"![{TITLES[name]}](benchmarks/{name}.svg)\n" if name in pictures else ""
            parts += [f"## {TITLES[name]}\n", write(results[name]), picture, stamp(results[name])]
    parts.append(machines(results))
    return "\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def must_show(results: Mapping) -> str:
    rows = [(c.what, c.wanted, c.measured, "yes" if c.good else "**no**") for c in checks(results)]
    return "## What must hold\n\n" + table(["", "wanted", "measured", "holds"], rows) if rows else ""


def warnings(results: Mapping) -> list[str]:
    """Return a sentence for each section whose figures say little."""
    found = []
    for name, section in results.items():
        if section.get("scale", 1) < SHORT:
            found.append(f"> {TITLES[name]}: a short run, {section['scale']:g} of the usual time; its figures vary.\n")
        if (busy := section.get("machine", {}).get("busy_before", 0)) > BUSY:
            found.append(f"> {TITLES[name]}: other work took {busy:.0%} of the machine; figures are too slow.\n")
    return found


def stamp(section: Mapping) -> str:
    if "at" not in section:
        return ""
    texts = section["texts"]
    return (
        f"Measured {section['at']} within {section['took_s']} s. {texts['count']:,} texts in turn, {texts['source']}: "
        f"{texts['mean']:.0f} characters on average, {texts['longest']} at most.\n"
    )


def machines(results: Mapping) -> str:
    """Describe the machine; more than one if sections were measured on several."""
    described = []
    for section in results.values():
        facts = {k: v for k, v in section.get("machine", {}).items() if k != "busy_before"}
        if facts and facts not in described:
            described.append(facts)
    return "".join(["## The machine\n\n" if described else "", *map(machine, described)])


def machine(facts: Mapping) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    instructions = f" with {', '.join(facts['instructions'])}" if facts["instructions"] else ""
    return (
        f"{facts['processor']}{instructions}, {facts['cores']} cores, {facts['memory_gb']:.0f} GB; {facts['system']}, "
        f"Python {facts['python']}, {facts['server']}; {packages}.\n\n"
    )


def throughput(section: Mapping) -> str:
    head = ["", "processes", ALONE, ONE, "share", MANY, "share", "characters/s, extract_many"]
    rows = []
    for row in section["data"]:
        characters = statistics.median(each[MANY][1] for each in row["rounds"])
        rates = {way: number(rate(row, way)) for way in (ALONE, ONE, MANY)}
        shares = [f"{share(row, way):.0%}" for way in (ONE, MANY)]
        name = f"{row['size']} size, `{row['model']}`"
        rows.append(
            [
                name,
                f"{row['processes']}",
                rates[ALONE],
                rates[ONE],
                shares[0],
                rates[MANY],
                shares[1],
                number(characters),
            ]
        )
    used = [[f"{row['size']} size", *memory(row)] for row in section["data"]]
    first = section["data"][0]
    return (
        "\n".join(
            [
                THROUGHPUT.format(
                    window=" or ".join(sorted({str(row["window"]) for row in section["data"]}, reverse=True))
                ),
                "Texts per second:\n",
                table(head, rows),
                cpu(section),
                "### Memory\n",
                MEMORY,
                table(["", "processes", "idle", "full load", "of which the parent"], used),
            ]
        )
        if first
        else ""
    )


def cpu(section: Mapping) -> str:
    """Return where the time of a text goes, with as many processes as there are."""
    row = max(section["data"], key=lambda row: (row["size"] == "default", row["processes"]))
    names = {
        "engine": "engine",
        "its children": "processes",
        "first process": "parent",
        "Redis": "Redis",
        "client": "client",
    }
    rows = []
    for way, parts in row["cpu_ms"].items():
        inside = parts.get("engine", parts.get("its children", 0))
        cells = [f"{parts[name]:.2f}" if name in parts else "" for name in list(names)[2:]]
        rows.append([way, f"{inside:.2f}", *cells, f"{sum(parts.values()):.2f}"])
    return CPU.format(**row) + "\n" + table(["", "engine", "parent", "Redis", "client", "all"], rows)


def memory(row: Mapping) -> list[str]:
    idle, peak = row["memory"]["idle"], row["memory"]["peak"]
    return [f"{row['processes']}", f"{sum(idle) / 1e6:.0f}", f"{sum(peak) / 1e6:.0f}", f"{peak[0] / 1e6:.0f}"]


def latency(section: Mapping) -> str:
    data = section["data"]
    idle = [
        [name, *times(data["idle"][key])] for name, key in (("engine alone", "engine"), ("through the queue", "queue"))
    ]
    rows = [
        [
            f"{row['load']} %",
            number(row["rate"]),
            *times(row),
            f"{row['batches']['took_ms']:.1f}",
            f"{row['batches']['texts']:.1f}",
            str(row["unanswered"]),
        ]
        for row in data["loads"]
    ]
    return "\n".join(
        [
            IDLE.format(**data["idle"]),
            table(["ms", "p50", "p95", "p99"], idle),
            f"The queue adds {data['idle']['added']:.1f} ms to the median.\n",
            LOADS.format(**data),
            table(["load", "texts/s", "p50", "p95", "p99", "batch", "texts in it", "not answered"], rows),
        ]
    )


def times(summary: Mapping) -> list[str]:
    return ["–" if summary[mark] is None else f"{summary[mark]:.1f}" for mark in ("p50", "p95", "p99")]


def cold(section: Mapping) -> str:
    rows = [[f"{row['size']} size", f"{row[ALONE]:.2f}", f"{row['worker']:.2f}"] for row in section["data"]]
    processes = section["machine"]["cores"]
    return COLD.format(processes=processes) + "\n" + table(["s", ALONE, "worker, through the queue"], rows)


def compare(section: Mapping) -> str:
    parts = []
    for row in section["data"]:
        parts += [f"### {row['size'].capitalize()} size\n", COMPARE.format(**row | {"size": row["size"].capitalize()})]
        head = [
            "",
            "texts/s",
            "hanner is faster by",
            "CPU, ms",
            "one text, ms",
            "p50",
            "p99",
            "memory, MB",
            "cold start, s",
        ]
        parts.append(table(head, [beside(row, name) for name in row["systems"]]))
        parts += [f"Not run: {each['name']}: {each['why']}.\n" for each in row["not_run"]]
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        parts.append(f"The engine alone did {number(full_load(row, ALONE))} texts/s in the same turns. {versions}.\n")
    return "\n".join([*parts, PEERS.format(slow=2 * section["machine"]["cores"])])


def beside(row: Mapping, name: str) -> list[str]:
    found = row["systems"][name]
    marks = times(found["at_rate"]) if "at_rate" in found else ["–"] * 3
    ahead = "" if name == "hanner" else f"{faster(row, name):.1f} x"
    cells = [number(full_load(row, name)), ahead, number(found["cpu_ms"]), number(found["idle"]["p50"])]
    return [name, *cells, marks[0], marks[2], f"{sum(found['memory']) / 1e6:,.0f}", f"{found['cold']:.1f}"]


def full_load(row: Mapping, name: str) -> float:
    """Return a system's texts per second, the median over its turns."""
    return statistics.median(turn[name] for turn in row["turns"] if name in turn)


def faster(row: Mapping, name: str) -> float:
    """Return how many times faster hanner is than another, the median over turns that both had."""
    return statistics.median(turn["hanner"] / turn[name] for turn in row["turns"] if name in turn)


def queue(section: Mapping) -> str:
    """Return what tests/benchmarks/queues found: its rows as they are, and its sentences."""
    head = ["", "sent/s", "answered/s", "client", "parent", "child", "Redis", "p50, ms", "p99, ms"]
    keys = ("enqueued", "consumed", "client", "parent", "child", "redis", "p50", "p99")
    rows = []
    for row in section["rows"]:
        name = row["contender"] + ("" if row["events"] else ", no events")
        rows.append([name, *(number(row[key]) if row.get(key) is not None else "" for key in keys)])
    intro = "A model that does nothing (`make bench-queue`). CPU time in µs per text.\n"
    return "\n".join([intro, table(head, rows), *(f"- {line}" for line in section["ratios"]), ""])


def number(value: float) -> str:
    """Return a figure with three or so digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
