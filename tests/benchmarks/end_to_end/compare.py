"""hanner beside its peers: the same engine (ModelScope has its own), as many processes, the same driver, in turns."""

import asyncio
import contextlib
import itertools
import json
import statistics
from collections.abc import Iterator

from benchmarks.end_to_end import environments, systems
from benchmarks.end_to_end.engines import Engines
from benchmarks.end_to_end.load import alone, open_loop, summary
from benchmarks.end_to_end.plan import Plan, Size
from benchmarks.end_to_end.throughput import watched
from benchmarks.memory import Peak
from hanner.contract import EXAMPLE_TEXT
from hanner_inference.package import TOKENIZER
from support.base_package import FOLDER

WINDOW = 128
"""Requests under way at full load: more than all processes' batches hold."""
SLOW = "ModelScope + Flask"
SLOW_SECONDS = 30.0
"""It answers about one text a second, so it has one long turn with a request or two per process."""
ROUNDS = 2
SHARE = 0.5
"""Of what hanner can do: the rate at which all are compared."""


def measure(plan: Plan) -> list[dict]:
    """Return a row per model."""
    return [measure_one(plan, plan.default()), measure_one(plan, plan.base(), ("modelscope",))]


def measure_one(plan: Plan, size: Size, extra=()) -> dict:
    wanted = [name for name in environments.PEERS if name != "modelscope" or name in extra]
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(Engines(size.model, plan.cores, plan.texts))
        field = Field()
        field.running.append(stack.enter_context(systems.hanner(size.model, plan.cores, plan.scratch)))
        for name in wanted:
            if environments.python(name) is None:
                field.drop(name, "its environment is not there: make bench-peers")
                continue
            with field.tried(name):
                field.running.append(stack.enter_context(systems.peer(name, size.model, plan.cores, plan.scratch)))
                field.running[-1].pause()
        turns = take_turns(plan, size, engines, field)
        rate = SHARE * statistics.median(turn["hanner"] for turn in turns)
        found = {}
        for system in list(field.running):
            with field.tried(system.name), awake(system):
                looked = look_at(plan, size, system, rate, turns)
                cost = round(statistics.median(field.cpu_ms[system.name]), 3)
                found[system.name] = {"cpu_ms": cost} | looked
    return {
        "size": size.name,
        "model": engines.model,
        "processes": plan.cores,
        "window": WINDOW,
        "rate": round(rate, 1),
        "turns": turns,
        "systems": found,
        "not_run": field.not_run,
        "versions": {name: environments.version(name) for name in wanted if environments.python(name)},
    }


class Field:
    """Who takes part, and who does not and why. A peer that fails is dropped and listed; hanner's failure raises."""

    def __init__(self) -> None:
        self.running: list[systems.System] = []
        self.not_run: list[dict[str, str]] = []
        self.cpu_ms: dict[str, list[float]] = {}

    def drop(self, name, why) -> None:
        self.running = [system for system in self.running if system.name != name]
        self.not_run.append({"name": name, "why": why})
        print(f"{name} is not run: {why}", flush=True)

    @contextlib.contextmanager
    def tried(self, name):
        try:
            yield
        except (RuntimeError, OSError, EOFError) as error:
            if name == "hanner":
                raise
            print(error, flush=True)
            self.drop(name, (str(error) or type(error).__name__).splitlines()[0])


def take_turns(plan, size, engines, field) -> list[dict[str, float]]:
    """Return texts per second by name for each round, at full load; what a text costs is noted in the field."""
    turns = []
    for number in range(min(ROUNDS, plan.rounds)):
        turn = {"engine alone": engines.run(size.seconds, size.slab)[0].rate}
        for system in list(field.running):
            if system.name == SLOW and number:
                continue
            with field.tried(system.name), awake(system):
                flow, cost = asyncio.run(full_load(plan, size, system))
                turn[system.name] = flow.rate
                field.cpu_ms.setdefault(system.name, []).append(1000 * (sum(cost.values()) - cost["client"]))
        print(f"  {size.name}: {turn}", flush=True)
        turns.append({name: round(rate, 2) for name, rate in turn.items()})
    return turns


async def full_load(plan, size, system):
    slow = system.name == SLOW
    window, length = (2 * plan.cores, SLOW_SECONDS * plan.scale) if slow else (WINDOW, size.seconds)
    return await watched(system, texts_for(plan, system), window, length)


def texts_for(plan, system) -> Iterator[str]:
    """Return texts in turn; ModelScope's tokenizer raises at characters that its vocabulary lacks."""
    if system.name != SLOW:
        return plan.singles()
    vocabulary = json.loads((FOLDER / TOKENIZER).read_text("utf-8"))["model"]["vocab"]
    return itertools.cycle([text for text in plan.texts if all(character in vocabulary for character in text)])


def look_at(plan, size, system, rate, turns) -> dict:
    """Return cold start, one text at a time, latency at a rate if it can keep up, and memory meanwhile."""
    rounds = 5 if system.name == SLOW else max(20, round(100 * plan.scale))
    best = statistics.median(turn[system.name] for turn in turns if system.name in turn)
    with Peak(system.process.pid) as peak:
        asyncio.run(full_load_briefly(plan, system))
    result = {"cold": round(system.cold, 2), "memory": peak.highest, "idle": asyncio.run(one_by_one(system, rounds))}
    if best > rate * 1.05:
        result["at_rate"] = asyncio.run(at_rate(plan, system, rate, size.seconds * 2))
    return result


async def full_load_briefly(plan, system) -> None:
    """Give every process work while the memory is read."""
    texts = texts_for(plan, system)
    count = 2 * plan.cores if system.name == SLOW else 4 * WINDOW
    async with system.connect() as asker:
        for _ in range(0, count, WINDOW):
            await asyncio.gather(*(asker.ask(next(texts)) for _ in range(min(count, WINDOW))))


async def one_by_one(system, rounds) -> dict:
    async with system.connect() as asker:
        await alone(asker.ask, EXAMPLE_TEXT, rounds=3)
        return summary(await alone(asker.ask, EXAMPLE_TEXT, rounds=rounds))


async def at_rate(plan, system, rate, seconds) -> dict:
    async with system.connect() as asker:
        return summary(await open_loop(asker.ask, texts_for(plan, system), rate=rate, seconds=seconds))


@contextlib.contextmanager
def awake(system):
    system.resume()
    try:
        yield
    finally:
        system.pause()
