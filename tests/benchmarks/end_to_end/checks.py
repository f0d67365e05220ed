"""What the figures must show, and whether they do. Pure: from results.json's content."""

import statistics
from dataclasses import dataclass

ALONE, ONE, MANY = "engine alone", "one text per task", "extract_many"
SHARES = {("base", ONE): 0.95, ("base", MANY): 0.95, ("default", ONE): 0.70, ("default", MANY): 0.90}
ADDED_MS = 5.0
LOAD, TIMES = 80, 4.0


@dataclass(frozen=True)
class Check:
    """One line: what must hold, what was measured, and whether it holds."""

    what: str
    wanted: str
    measured: str
    good: bool


def checks(results: dict) -> list[Check]:
    """Return those whose sections are there."""
    found = []
    if throughput := results.get("throughput"):
        found += [check for row in throughput["data"] for check in of_shares(row)]
    if latency := results.get("latency"):
        found += of_latency(latency["data"])
    return found


def of_shares(row: dict) -> list[Check]:
    found = []
    processes = row["processes"]
    of = f"{processes} process{'es' if processes > 1 else ''}"
    for way in (ONE, MANY):
        part, least = share(row, way), SHARES[row["size"], way]
        what = f"{row['size']} size, {way}, {of}: share of the engine alone"
        found.append(Check(what, f"at least {least:.0%}", f"{part:.0%}", part >= least))
    return found


def share(row: dict, way: str) -> float:
    """Return the median over rounds of a way's rate, in those of the engine alone in the same round."""
    return statistics.median(one[way][0] / one[ALONE][0] for one in row["rounds"])


def rate(row: dict, way: str) -> float:
    """Return the median over rounds, in texts per second."""
    return statistics.median(one[way][0] for one in row["rounds"])


def of_latency(data: dict) -> list[Check]:
    added = data["idle"]["added"]
    what = "one text at a time, idle, default model: median over the engine's"
    found = [Check(what, f"at most {ADDED_MS:g} ms", f"{added:.1f} ms", added <= ADDED_MS)]
    full = data["full"]["took_ms"]
    for row in data["loads"]:
        if row["load"] == LOAD:
            times = float("inf") if row["p99"] is None else row["p99"] / full
            what = f"p99 at {LOAD} % load, default model: times a full batch's {full:.0f} ms"
            found.append(Check(what, f"at most {TIMES:g}", f"{times:.1f}", times <= TIMES))
    return found
