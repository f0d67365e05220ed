"""The requirements on the results, and whether they are met. No I/O."""

import itertools
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ALONE, ONE, MANY = "engine alone", "one text per task", "extract_many"
BUNDLED = ("default", "small")
"""Sizes that are bundled models."""
SHARES = {(size, way): share for size in BUNDLED for way, share in ((ONE, 0.70), (MANY, 0.90))}
SHARES |= {("base", ONE): 0.95, ("base", MANY): 0.95}
ADDED_MS = 5.0
LOAD, MAX_FACTOR = 80, 3.0
BESIDE_MS = {"default": 100.0, "small": 100.0, "base": 400.0}
"""Limits for the p99 of interactive texts beside bulk texts."""
COLD_SECONDS = {"default": 1.0, "small": 1.0, "base": 1.5}
MEMORY_MB = 300.0
MOSEC = "mosec"
FASTER_THAN_MOSEC = ("small",)
"""Sizes at which hanner must process at least as many texts per second as mosec."""
NO_OP = "hanner, one text per task"
NO_OP_TIMES = {"plain Celery task": 20.0, "celery-batches": 10.0}


@dataclass(frozen=True)
class Check:
    """One requirement, the measured value, and whether the requirement is met."""

    name: str
    required: str
    measured: str
    passed: bool


def checks(results: Mapping) -> list[Check]:
    """Return the checks of the sections that are in the results."""
    made = []
    for name, check in CHECKS.items():
        if section := results.get(name):
            made += check(section if name == "queue" else section["data"])
    return made


def title(row: Mapping) -> str:
    """Return the name of a row's model for tables: that of a bundled model, or BERT-base size."""
    return "BERT-base size" if row["size"] == "base" else f"`{row['model'].partition('@')[0]}`"


def at_most(name: str, measured: float, limit: float, unit: str = "", digits: int = 0) -> Check:
    value = "not completed" if measured == float("inf") else f"{measured:,.{digits}f}{unit}"
    return Check(name, f"at most {limit:g}{unit}", value, measured <= limit and measured < float("inf"))


def at_least(name: str, measured: float, limit: float, unit: str = "x") -> Check:
    return Check(name, f"at least {limit:g} {unit}", f"{measured:.2f} {unit}", measured >= limit)


def check_shares(rows) -> Iterator[Check]:
    for row, way in itertools.product(rows, (ONE, MANY)):
        processes, measured, least = row["processes"], share(row, way), SHARES[row["size"], way]
        count = f"{processes} process{'es' if processes > 1 else ''}"
        name = f"{title(row)}, {way}, {count}: share of the engine alone"
        yield Check(name, f"at least {least:.0%}", f"{measured:.0%}", measured >= least)


def share(row: Mapping, way: str) -> float:
    """Return the median over rounds of the ratio to the engine alone in the same round."""
    return statistics.median(each[way][0] / each[ALONE][0] for each in row["rounds"])


def rate(row: Mapping, way: str) -> float:
    """Return the median over rounds in texts per second."""
    return statistics.median(each[way][0] for each in row["rounds"])


def check_latency(rows) -> Iterator[Check]:
    for row in rows:
        if row["size"] in BUNDLED:
            name = f"{title(row)}, one text at a time, idle: added to the engine's median"
            yield at_most(name, row["idle"]["added"], ADDED_MS, " ms", 1)
        full = row["full"]["took_ms"]
        for load in row["loads"]:
            if load["load"] == LOAD:
                name = f"{title(row)}, p99 at {LOAD} % load: in units of a full batch's {full:.0f} ms"
                yield at_most(name, p99(load) / full, MAX_FACTOR, digits=1)


def p99(summary: Mapping) -> float:
    """Return a summary's p99 in ms, infinity if so many requests were not completed."""
    return float("inf") if summary["p99"] is None else summary["p99"]


def check_beside_bulk(rows) -> Iterator[Check]:
    for row in rows:
        name = f"{title(row)}, interactive texts beside a saturated bulk stream: p99"
        yield at_most(name, p99(row), BESIDE_MS[row["size"]], " ms")


def check_cold(rows) -> Iterator[Check]:
    for row in rows:
        name = f"{title(row)}, cold start of the worker with the first result"
        yield at_most(name, row["worker"], COLD_SECONDS[row["size"]], " s", 2)


def check_memory(row) -> Iterator[Check]:
    name = f"{title(row)}, parent and {row['processes']} processes: memory after full load"
    yield at_most(name, sum(row["after"]) / 1e6, MEMORY_MB, " MB")


def check_comparison(rows) -> Iterator[Check]:
    for row in rows:
        if MOSEC not in row["systems"]:
            continue
        if row["size"] in FASTER_THAN_MOSEC:
            yield at_least(f"{title(row)}, one text per task: texts/s of {MOSEC}", faster(row, MOSEC), 1.0)
        hanner, mosec = (row["systems"][name].get("at_rate") for name in ("hanner", MOSEC))
        if hanner and mosec:
            name = f"{title(row)}, p99 at half of hanner's full load: not above {MOSEC}'s"
            yield at_most(name, p99(hanner), round(p99(mosec), 1), " ms", 1)


def full_load(row: Mapping, name: str) -> float:
    """Return a system's texts per second, the median over its rounds."""
    return statistics.median(each[name] for each in row["rounds"] if name in each)


def faster(row: Mapping, name: str) -> float:
    """Return the speedup of hanner over another system, the median over common rounds."""
    return statistics.median(each["hanner"] / each[name] for each in row["rounds"] if name in each)


def check_queue(section) -> Iterator[Check]:
    """Compare the rows of hanner with those of the others whose worker sent events, or sent none, alike."""
    for row in section["rows"]:
        for other in section["rows"]:
            alike = events(row) == events(other)
            if alike and row["scenario"] == NO_OP and (least := NO_OP_TIMES.get(other["scenario"])):
                name = f"model that does nothing, {ONE}, {events(row)}: texts/s of {other['scenario']}"
                yield at_least(name, row["consumed"] / other["consumed"], least)


def events(row: Mapping) -> str:
    """Return whether a row of the queue benchmark was measured with events, and whether a client received them."""
    if not row["events"]:
        return "no events"
    return "events" if row.get("listener", True) else "unread events"


CHECKS = {
    "throughput": check_shares,
    "latency": check_latency,
    "bulk": check_beside_bulk,
    "cold": check_cold,
    "memory": check_memory,
    "compare": check_comparison,
    "queue": check_queue,
}
"""The functions that check a section's data."""
