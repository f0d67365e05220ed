"""Render the figures in the READMEs from the results. No I/O."""

from collections.abc import Mapping

from benchmarks.end_to_end.checks import ALONE, MANY, ONE, rate, share
from benchmarks.end_to_end.report import MIN_SCALE, faster, full_load, number, table

WORDS = {
    "en": {
        "machine": "The figures are medians over the rounds. Each round gives one ratio of queue to engine; the "
        "percentage is the median of these ratios. {processes} processes on {cores} cores of {processor}; texts have "
        "{mean:.0f} characters on average.{short} [All figures](docs/benchmarks.md).\n",
        "short": " The figures are from a short run, {scale:g} of the usual duration, with `{model}`.",
        "default": "`{name}`",
        "base": "BERT-base size",
        "alone": "engine alone, texts/s",
        "one": "through the queue, one text per request",
        "many": "through the queue, `extract_many`",
        "memory": "memory of the worker at full load",
        "cold": "from start to first answer",
        "idle": "- One short text on an idle system takes {queue:.1f} ms, of which the queue takes {added:.1f} ms. "
        "At 80 % load, p99 is {p99:.0f} ms.",
        "beside": "- The same engine in other servers, `{name}`, texts/s: {others}; "
        "hanner: {hanner}. In this run, all servers took turns. The table is from another run, so hanner's figures "
        "differ.",
        "slow": "- At base size, ModelScope's own pipeline behind Flask processes {slow} texts/s; hanner, measured in "
        "alternation with it, processes {hanner} ({times:.0f} times as many).",
    },
    "zh": {
        "machine": "各数据为各轮的中位数。每轮得出经队列与引擎单独运行的吞吐量之比，百分比为这些比值的中位数。"
        "{processor}，{cores} 核，{processes} 个进程；文本平均 {mean:.0f} 字。"
        "{short}[全部数据](docs/benchmarks.md)。\n",
        "short": "这些数据来自一次短测量，时长为通常的 {scale:g} 倍，模型为 `{model}`。",
        "default": "`{name}`",
        "base": "BERT-base 规模",
        "alone": "引擎单独运行，文本/秒",
        "one": "经队列，每个请求一条文本",
        "many": "经队列，`extract_many`",
        "memory": "满载时 worker 的内存",
        "cold": "从启动到第一个答案",
        "idle": "- 空闲时一条短文本需 {queue:.1f} 毫秒，其中队列占 {added:.1f} 毫秒。"
        "负载 80 % 时 p99 为 {p99:.0f} 毫秒。",
        "beside": "- 其他服务框架使用同一引擎和 `{name}`，文本/秒：{others}；hanner 为 {hanner}。"
        "这次测量中各框架轮流运行；上表来自另一次测量，因此 hanner 的数据不同。",
        "slow": "- BERT-base 规模下，ModelScope 自己的 pipeline 加 Flask 每秒处理 {slow} 条；"
        "hanner 与其交替测量，每秒处理 {hanner} 条，是其 {times:.0f} 倍。",
    },
}
SLOW = "ModelScope + Flask"


def render(results: Mapping, language: str) -> str:
    """Return the text between the marks of a README, with lines for the sections in the results."""
    words = WORDS[language]
    parts = []
    if "throughput" in results:
        parts.append(main_table(results, words))
    if "latency" in results:
        data = results["latency"]["data"]
        p99 = next(row["p99"] for row in data["loads"] if row["load"] == 80)
        idle = data["idle"]
        parts.append(words["idle"].format(queue=idle["queue"]["p50"], added=idle["added"], p99=p99 or float("inf")))
    if "compare" in results:
        parts += [line for row in results["compare"]["data"] for line in comparison_lines(row, words)]
    return "\n".join(parts)


def model_name(row: Mapping) -> str:
    """Return the name of the model that was measured, without its digest."""
    return row["model"].partition("@")[0]


def main_table(results: Mapping, words: Mapping) -> str:
    section = results["throughput"]
    most = max(row["processes"] for row in section["data"])
    rows = [row for row in section["data"] if row["processes"] == most]
    lines = [
        [words["alone"], *(number(rate(row, ALONE)) for row in rows)],
        *(
            [words[key], *(f"{number(rate(row, way))} ({share(row, way):.0%})" for row in rows)]
            for key, way in (("one", ONE), ("many", MANY))
        ),
        [words["memory"], *(f"{sum(row['memory']['peak']) / 1e6:.0f} MB" for row in rows)],
    ]
    if "cold" in results:
        seconds = {row["size"]: row["worker"] for row in results["cold"]["data"]}
        lines.append([words["cold"], *(f"{seconds[row['size']]:.1f} s" for row in rows)])
    scale = section.get("scale", 1)
    short = words["short"].format(scale=scale, model=rows[0]["model"]) if scale < MIN_SCALE else ""
    machine = words["machine"].format(**section["machine"], processes=most, mean=section["texts"]["mean"], short=short)
    return table(["", *(words[row["size"]].format(name=model_name(row)) for row in rows)], lines) + "\n" + machine


def comparison_lines(row: Mapping, words: Mapping) -> list[str]:
    names = [name for name in row["systems"] if name not in {"hanner", SLOW}]
    hanner = number(full_load(row, "hanner"))
    lines = []
    if row["size"] == "default" and names:
        others = ", ".join(f"{name} {number(full_load(row, name))}" for name in names)
        lines.append(words["beside"].format(others=others, hanner=hanner, name=model_name(row)))
    if SLOW in row["systems"]:
        slow = number(full_load(row, SLOW))
        lines.append(words["slow"].format(slow=slow, hanner=hanner, times=faster(row, SLOW)))
    return lines
