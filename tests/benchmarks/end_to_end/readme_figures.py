"""Render the figures in the READMEs and in docs/explanation/comparison.md from the results. No I/O."""

from collections.abc import Mapping

from benchmarks.end_to_end.checks import ALONE, MANY, ONE, faster, full_load, rate, share, title
from benchmarks.end_to_end.report import MIN_SCALE, number, table

WORDS = {
    "en": {
        "machine": "{processes} processes on {cores} cores of {processor}; texts have {mean:.0f} characters on "
        "average. The figures are medians over the rounds; each round gives one ratio of queue to engine, and the "
        "percentage is the median of these ratios. Servers took turns in a run of their own.{short} "
        "[All figures](docs/benchmarks.md).",
        "short": " The figures are from a short run, {scale:g} of the usual duration.",
        "base": "BERT-base size",
        "alone": "engine alone, texts/s",
        "one": "through the queue, one text per request",
        "many": "through the queue, `extract_many`",
        "idle": "one text on an idle system; the queue's part of it",
        "loads": "p99 at {loads} load",
        "bulk": "p99 of interactive texts beside a bulk stream",
        "memory": "memory of the worker at full load",
        "cold": "from start to first answer",
        "others": "times the texts/s of {names} with the same engine",
        "slow": "times the texts/s of ModelScope's pipeline behind Flask",
    },
    "zh": {
        "machine": "{processor}，{cores} 核，{processes} 个进程；文本平均 {mean:.0f} 字。各数据为各轮的中位数。"
        "每轮得出经队列与引擎单独运行的吞吐量之比，百分比为这些比值的中位数。与其他框架的比较来自另一次测量，各框架轮流运行。"
        "{short}[全部数据](docs/benchmarks.md)。",
        "short": "这些数据来自一次短测量，时长为通常的 {scale:g} 倍。",
        "base": "BERT-base 规模",
        "alone": "引擎单独运行，文本/秒",
        "one": "经队列，每个请求一条文本",
        "many": "经队列，`extract_many`",
        "idle": "空闲时一条文本的用时，及其中队列所占",
        "loads": "负载 {loads} 时的 p99",
        "bulk": "批量任务占满进程时，交互文本的 p99",
        "memory": "满载时 worker 的内存",
        "cold": "从启动到第一个答案",
        "others": "吞吐量为同一引擎在 {names} 中的倍数",
        "slow": "吞吐量为 ModelScope 的 pipeline 加 Flask 的倍数",
    },
}
SLOW = "ModelScope + Flask"
LOADS = (50, 80)
MISSING = "–"


def render(results: Mapping, language: str) -> str:
    """Return the text between the marks of a README: a table with a column per model, and what was measured."""
    if "throughput" not in results:
        return ""
    words, section = WORDS[language], results["throughput"]
    most = max(row["processes"] for row in section["data"])
    rows = [row for row in section["data"] if row["processes"] == most]
    lines = [
        [words["alone"], *(number(rate(row, ALONE)) for row in rows)],
        [words["one"], *(f"{number(rate(row, ONE))} ({share(row, ONE):.0%})" for row in rows)],
        [words["many"], *(f"{number(rate(row, MANY))} ({share(row, MANY):.0%})" for row in rows)],
        *latency_lines(results, words, rows),
        [words["memory"], *(f"{sum(row['memory']['peak']) / 1e6:.0f} MB" for row in rows)],
        line(words["cold"], results, "cold", rows, lambda cold: f"{cold['worker']:.1f} s"),
        *comparison_lines(results, words, rows),
    ]
    scale = section.get("scale", 1)
    short = words["short"].format(scale=scale) if scale < MIN_SCALE else ""
    machine = words["machine"].format(**section["machine"], processes=most, mean=section["texts"]["mean"], short=short)
    names = [words["base"] if row["size"] == "base" else title(row) for row in rows]
    return table(["", *names], [cells for cells in lines if set(cells[1:]) != {MISSING}]) + "\n" + machine


def line(name: str, results: Mapping, section: str, models, cell) -> list[str]:
    """Return the cells of a line: a section's value for each model, and a dash where it was not measured."""
    found = {row["size"]: cell(row) for row in results[section]["data"]} if section in results else {}
    return [name, *(found.get(model["size"], MISSING) for model in models)]


def latency_lines(results: Mapping, words: Mapping, models) -> list[list[str]]:
    loads = " / ".join(f"{load} %" for load in LOADS)
    return [
        line(words["idle"], results, "latency", models, idle),
        line(words["loads"].format(loads=loads), results, "latency", models, p99_at_loads),
        line(words["bulk"], results, "bulk", models, lambda row: milliseconds(row["p99"])),
    ]


def idle(row: Mapping) -> str:
    return f"{row['idle']['queue']['p50']:.1f} ms; {row['idle']['added']:.1f} ms"


def p99_at_loads(row: Mapping) -> str:
    found = {load["load"]: load["p99"] for load in row["loads"]}
    return " / ".join(milliseconds(found.get(load)) for load in LOADS)


def milliseconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f} ms"


def comparison_lines(results: Mapping, words: Mapping, models) -> list[list[str]]:
    if "compare" not in results:
        return []
    rows = results["compare"]["data"]
    names = list(dict.fromkeys(name for row in rows for name in row["systems"] if name not in {"hanner", SLOW}))

    def times(row) -> str:
        return " / ".join(f"{faster(row, name):.1f}" if name in row["systems"] else MISSING for name in names)

    def slow(row) -> str:
        return f"{faster(row, SLOW):.0f}" if SLOW in row["systems"] else MISSING

    others = words["others"].format(names=" / ".join(names))
    return [line(others, results, "compare", models, times), line(words["slow"], results, "compare", models, slow)]


def comparison_table(results: Mapping) -> str:
    """Return the text between the marks of docs/explanation/comparison.md: a line per server, a column per model."""
    if "compare" not in results:
        return ""
    rows = results["compare"]["data"]
    names = dict.fromkeys(name for row in rows for name in row["systems"])
    lines = [[name, *(comparison_cell(row, name) for row in rows)] for name in names]
    return table(["texts/s; p99; memory", *map(title, rows)], lines).rstrip()


def comparison_cell(row: Mapping, name: str) -> str:
    if name not in row["systems"]:
        return MISSING
    system = row["systems"][name]
    p99 = milliseconds(system["at_rate"]["p99"]) if "at_rate" in system else MISSING
    return f"{number(full_load(row, name))}; {p99}; {sum(system['memory']) / 1e6:,.0f} MB"
