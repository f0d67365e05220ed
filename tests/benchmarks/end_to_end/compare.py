"""Compare hanner with its peers: same engine (except ModelScope), same number of processes, same load."""

import asyncio
import contextlib
import itertools
import json
import statistics
from collections.abc import Iterator

from benchmarks.end_to_end import environments, systems
from benchmarks.end_to_end.engine_processes import EngineProcesses
from benchmarks.end_to_end.load import open_loop, sequential, summary
from benchmarks.end_to_end.plan import Plan, Size
from benchmarks.end_to_end.throughput import run_closed_loop
from benchmarks.memory import PeakMemory
from hanner.contract import EXAMPLE_TEXT
from hanner_inference.package import TOKENIZER
from support.base_package import FOLDER

WINDOW = 128
"""Requests in flight at full load: more than the batches of all processes hold."""
SLOW = "ModelScope + Flask"
SLOW_SECONDS = 20.0
"""It processes about one text per second, so it has one long round with two requests per process."""
ROUNDS = 2
SHARE = 0.5
"""Share of hanner's full load: the rate at which latencies are compared."""
ROUND_SECONDS = {"default": 3.0, "small": 3.0, "base": 4.0}
"""Duration of a round at full load by size."""
RATE_SECONDS = 4.0
"""Duration of a round at that rate."""


def measure(plan: Plan) -> list[dict]:
    """Return a row per model."""
    return [measure_one(plan, size, ("modelscope",) if size.name == "base" else ()) for size in plan.sizes()]


def measure_one(plan: Plan, size: Size, extra=()) -> dict:
    wanted = [name for name in environments.PEERS if name != "modelscope" or name in extra]
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(EngineProcesses(size.model, plan.cores, plan.texts))
        participants = Participants()
        participants.running.append(stack.enter_context(systems.hanner(size.model, plan.cores, plan.scratch)))
        for name in wanted:
            if environments.python(name) is None:
                participants.drop(name, "its environment is missing: make bench-peers")
                continue
            with participants.drop_on_failure(name):
                peer = stack.enter_context(systems.peer(name, size.model, plan.cores, plan.scratch))
                peer.pause()
                participants.running.append(peer)
        rounds = run_rounds(plan, size, engines, participants)
        rate = SHARE * statistics.median(each["hanner"] for each in rounds)
        results = {}
        for system in list(participants.running):
            with participants.drop_on_failure(system.name), resumed(system):
                cpu_ms = round(statistics.median(participants.cpu_ms[system.name]), 3)
                results[system.name] = {"cpu_ms": cpu_ms} | measure_system(plan, system)
        for name, times in measure_latencies(plan, rate, rounds, participants).items():
            results[name]["at_rate"] = summary(times)
    return {
        "size": size.name,
        "model": engines.model,
        "processes": plan.cores,
        "window": WINDOW,
        "rate": round(rate, 1),
        "rounds": rounds,
        "systems": results,
        "not_run": participants.not_run,
        "versions": {name: environments.version(name) for name in wanted if environments.python(name)},
    }


class Participants:
    """The systems that run, and those that do not, with reasons. A peer that fails is dropped; hanner must not fail."""

    def __init__(self) -> None:
        self.running: list[systems.System] = []
        self.not_run: list[dict[str, str]] = []
        self.cpu_ms: dict[str, list[float]] = {}

    def drop(self, name, why) -> None:
        self.running = [system for system in self.running if system.name != name]
        self.not_run.append({"name": name, "why": why})
        print(f"{name} does not run: {why}", flush=True)

    @contextlib.contextmanager
    def drop_on_failure(self, name):
        try:
            yield
        except (RuntimeError, OSError, EOFError, ValueError) as error:
            if name == "hanner":
                raise
            print(error, flush=True)
            self.drop(name, (str(error) or type(error).__name__).splitlines()[0])


def run_rounds(plan, size, engines, participants) -> list[dict[str, float]]:
    """Return texts per second by name for each round, at full load; CPU times are added to the participants."""
    rounds = []
    for number in range(min(ROUNDS, plan.rounds)):
        rates = {"engine alone": engines.run(ROUND_SECONDS[size.name] * plan.scale, size.chunk)[0].rate}
        for system in list(participants.running):
            if system.name == SLOW and number:
                continue
            with participants.drop_on_failure(system.name), resumed(system):
                throughput, cpu = asyncio.run(full_load(plan, size, system))
                rates[system.name] = throughput.rate
                participants.cpu_ms.setdefault(system.name, []).append(1000 * (sum(cpu.values()) - cpu["client"]))
        print(f"  {size.name}: {rates}", flush=True)
        rounds.append({name: round(rate, 2) for name, rate in rates.items()})
    return rounds


async def full_load(plan, size, system):
    slow = system.name == SLOW
    window, seconds = (2 * plan.cores, SLOW_SECONDS) if slow else (WINDOW, ROUND_SECONDS[size.name])
    return await run_closed_loop(system, texts_for(plan, system), window, seconds * plan.scale)


def texts_for(plan, system) -> Iterator[str]:
    """Return an endless iterator of texts. ModelScope gets only texts whose characters are all in its vocabulary."""
    if system.name != SLOW:
        return plan.singles()
    vocabulary = json.loads((FOLDER / TOKENIZER).read_text("utf-8"))["model"]["vocab"]
    return itertools.cycle([text for text in plan.texts if all(character in vocabulary for character in text)])


def measure_system(plan, system) -> dict:
    """Return cold start, memory, and latency of single texts."""
    count = 5 if system.name == SLOW else max(20, round(100 * plan.scale))
    with PeakMemory(system.process.pid) as peak:
        asyncio.run(load_briefly(plan, system))
    return {"cold": round(system.cold, 2), "memory": peak.highest, "idle": asyncio.run(measure_idle(system, count))}


def measure_latencies(plan, rate, rounds, participants) -> dict[str, list[float]]:
    """Return the latencies at `rate` by name, measured in alternation, of the systems that can sustain that rate."""
    measured: dict[str, list[float]] = {}
    seconds = max(1, RATE_SECONDS * plan.scale)
    for number in range(len(rounds)):
        for system in list(participants.running):
            best = statistics.median(each[system.name] for each in rounds if system.name in each)
            if best > rate * 1.05:
                with participants.drop_on_failure(system.name), resumed(system):
                    times = asyncio.run(at_rate(plan, system, rate, seconds, number))
                    measured.setdefault(system.name, []).extend(times)
    return measured


async def load_briefly(plan, system) -> None:
    """Keep every process busy while the memory is sampled."""
    texts = texts_for(plan, system)
    count = 2 * plan.cores if system.name == SLOW else 4 * WINDOW
    async with system.connect() as client:
        for _ in range(0, count, WINDOW):
            await asyncio.gather(*(client.send(next(texts)) for _ in range(min(count, WINDOW))))


async def measure_idle(system, count) -> dict:
    async with system.connect() as client:
        await sequential(client.send, EXAMPLE_TEXT, count=3)
        return summary(await sequential(client.send, EXAMPLE_TEXT, count=count))


async def at_rate(plan, system, rate, seconds, seed) -> list[float]:
    async with system.connect() as client:
        return await open_loop(client.send, texts_for(plan, system), rate=rate, seconds=seconds, seed=seed)


@contextlib.contextmanager
def resumed(system):
    system.resume()
    try:
        yield
    finally:
        system.pause()
