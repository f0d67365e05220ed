"""The requirements on the results, and whether they are met. No I/O."""

import statistics
from dataclasses import dataclass

ALONE, ONE, MANY = "engine alone", "one text per task", "extract_many"
SHARES = {("base", ONE): 0.95, ("base", MANY): 0.95, ("default", ONE): 0.70, ("default", MANY): 0.90}
ADDED_MS = 5.0
LOAD, MAX_FACTOR = 80, 4.0


@dataclass(frozen=True)
class Check:
    """One requirement, the measured value, and whether the requirement is met."""

    name: str
    required: str
    measured: str
    passed: bool


def checks(results: dict) -> list[Check]:
    """Return the checks of the sections that are in the results."""
    result = []
    if throughput := results.get("throughput"):
        result += [check for row in throughput["data"] for check in check_shares(row)]
    if latency := results.get("latency"):
        result += check_latency(latency["data"])
    return result


def check_shares(row: dict) -> list[Check]:
    result = []
    processes = row["processes"]
    count = f"{processes} process{'es' if processes > 1 else ''}"
    for way in (ONE, MANY):
        measured, least = share(row, way), SHARES[row["size"], way]
        name = f"{row['size']} size, {way}, {count}: share of the engine alone"
        result.append(Check(name, f"at least {least:.0%}", f"{measured:.0%}", measured >= least))
    return result


def share(row: dict, way: str) -> float:
    """Return the median over rounds of the ratio to the engine alone in the same round."""
    return statistics.median(each[way][0] / each[ALONE][0] for each in row["rounds"])


def rate(row: dict, way: str) -> float:
    """Return the median over rounds in texts per second."""
    return statistics.median(each[way][0] for each in row["rounds"])


def check_latency(data: dict) -> list[Check]:
    added = data["idle"]["added"]
    name = "one text at a time, idle, default model: added to the engine's median"
    result = [Check(name, f"at most {ADDED_MS:g} ms", f"{added:.1f} ms", added <= ADDED_MS)]
    full = data["full"]["took_ms"]
    for row in data["loads"]:
        if row["load"] == LOAD:
            factor = float("inf") if row["p99"] is None else row["p99"] / full
            name = f"p99 at {LOAD} % load, default model: in units of a full batch's {full:.0f} ms"
            result.append(Check(name, f"at most {MAX_FACTOR:g}", f"{factor:.1f}", factor <= MAX_FACTOR))
    return result
