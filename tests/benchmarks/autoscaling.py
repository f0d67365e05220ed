"""A model of the autoscaler: how many workers KEDA and the HorizontalPodAutoscaler ask for, second by second.

    python tests/benchmarks/autoscaling.py     writes docs/how-to/autoscaling.svg and prints a table

Pure: no cluster and no clock. The settings are read from compose/k8s, so the plot and its tests hold for the manifests.
The rules of the autoscaler and their sources:

- One metric asks for ceil(value / target) workers, unless value / (target x workers) is within 0.1 of 1; of several
  metrics the largest number counts. KEDA's triggers are metrics of the type AverageValue. It runs every 15 s.
  kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale, "Algorithm details"
- A step up is at most the larger of the scaleUp policies; a step down at most the scaleDown policy. Stabilisation takes
  the smallest (up) or largest (down) number that was asked for within the window.
  The same page, "Configurable scaling behavior"
- KEDA polls the triggers every pollingInterval only to start the first worker, when a value is above its activation
  value, and to remove the last one after cooldownPeriod. keda.sh/docs/2.20/reference/scaledobject-spec

Workers are modelled as the scheduler has them: each fetches up to PREFETCH requests, runs batches for as long as texts
are waiting, and reports its work and the share of the last ten seconds that it was busy with its heartbeat.
"""

import math
import random
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "compose" / "k8s" / "components" / "keda" / "scaling.yaml"
PLOT = ROOT / "docs" / "how-to" / "autoscaling.svg"
SYNC = 15
"""Seconds between two runs of the HorizontalPodAutoscaler (--horizontal-pod-autoscaler-sync-period)."""
TOLERANCE = 0.1
START_SECONDS = 20
"""Seconds from asking for a worker until it takes texts: scheduling, a cached image, loading the model, the probe."""
PREFETCH = 256
"""Requests that a worker with two processes holds."""
BUSY_WINDOW = 10


@dataclass(frozen=True)
class Policy:
    """The settings of a ScaledObject.

    Attributes:
        targets: target of each metric.
        low: minReplicaCount.
        high: maxReplicaCount.
        up_window: stabilizationWindowSeconds of scaleUp.
        down_window: that of scaleDown.
        up: policies of scaleUp: (type, value, periodSeconds).
        down: those of scaleDown.
        poll: pollingInterval.
        cooldown: cooldownPeriod.
    """

    targets: dict[str, float]
    low: int
    high: int
    up_window: int
    down_window: int
    up: tuple[tuple[str, int, int], ...]
    down: tuple[tuple[str, int, int], ...]
    poll: int = 5
    cooldown: int = 300

    @classmethod
    def read(cls, path: Path = MANIFEST) -> "Policy":
        """Return the settings of a manifest; a metric's name is the last part of its valueLocation."""
        (spec,) = [
            each["spec"] for each in yaml.safe_load_all(path.read_text("utf-8")) if each["kind"] == "ScaledObject"
        ]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        metrics = [trigger["metadata"] for trigger in spec["triggers"]]
        return cls(
            {each["valueLocation"].rpartition(".")[2]: float(each["targetValue"]) for each in metrics},
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            behavior["scaleUp"]["stabilizationWindowSeconds"],
            behavior["scaleDown"]["stabilizationWindowSeconds"],
            _policies(behavior["scaleUp"]),
            _policies(behavior["scaleDown"]),
            spec["pollingInterval"],
            spec["cooldownPeriod"],
        )


def _policies(rules: dict[str, Any]) -> tuple[tuple[str, int, int], ...]:
    return tuple((each["type"], each["value"], each["periodSeconds"]) for each in rules["policies"])


def desired(targets: dict[str, float], values: dict[str, float], workers: int) -> int:
    """Return the number of workers that the metrics ask for, before limits and stabilisation."""
    asked = []
    for name, target in targets.items():
        ratio = values[name] / (target * workers) if workers else math.inf
        asked.append(workers if abs(ratio - 1) <= TOLERANCE else math.ceil(round(values[name] / target, 9)))
    return max(asked)


@dataclass
class Autoscaler:
    """The HorizontalPodAutoscaler with KEDA's start of the first worker and removal of the last one."""

    policy: Policy
    workers: int
    _asked: deque[tuple[int, int]] = field(default_factory=deque)  # time, number
    _changes: deque[tuple[int, int]] = field(default_factory=deque)  # time, change of the number
    _active: int = 0  # when a metric was last above its activation value

    def step(self, now: int, values: dict[str, float]) -> int:
        """Return the number of workers from this second on."""
        if now % self.policy.poll == 0:
            self._poll(now, values)
        if self.workers and now % SYNC == 0:
            self._sync(now, values)
        return self.workers

    def _poll(self, now: int, values: dict[str, float]) -> None:
        if any(value > 0 for value in values.values()):
            self._active = now
            if self.workers == 0:
                self._change(now, max(1, self.policy.low))
        elif self.policy.low == 0 and now - self._active >= self.policy.cooldown:
            self._change(now, 0)

    def _sync(self, now: int, values: dict[str, float]) -> None:
        policy, workers = self.policy, self.workers
        wanted = desired(policy.targets, values, workers)
        wanted = min(max(wanted, policy.low, 1), policy.high)
        self._asked.append((now, wanted))
        while self._asked[0][0] <= now - max(policy.up_window, policy.down_window, SYNC):
            self._asked.popleft()
        lowest = min([n for at, n in self._asked if at > now - policy.up_window], default=wanted)
        highest = max([n for at, n in self._asked if at > now - policy.down_window], default=wanted)
        if workers < min(lowest, wanted):
            self._change(now, min(lowest, max(self._limit(now, each, 1) for each in policy.up)))
        elif workers > max(highest, wanted):
            self._change(now, max(highest, min(self._limit(now, each, -1) for each in policy.down)))

    def _limit(self, now: int, rule: tuple[str, int, int], sign: int) -> int:
        """Return the largest or smallest number that a policy permits, from the number at the start of its period."""
        kind, value, period = rule
        changed = sum(change for at, change in self._changes if at > now - period and change * sign > 0)
        start = self.workers - changed
        step = math.ceil(start * value / 100) if kind == "Percent" else value
        return max(0, start + sign * step)

    def _change(self, now: int, workers: int) -> None:
        self._changes.append((now, workers - self.workers))
        self.workers = workers


@dataclass
class Queue:
    """Workers and the texts that wait for them, in steps of a second.

    Attributes:
        text_seconds: seconds that a worker needs for a text.
    """

    text_seconds: float
    waiting: float = 0.0  # texts without a result
    bulk: float = 0.0
    _busy: deque[float] = field(default_factory=lambda: deque(maxlen=BUSY_WINDOW))
    _ready: list[int] = field(default_factory=list)  # when each worker takes texts

    def work(self, now: int, workers: int) -> None:
        """Remove the texts that the workers finish within a second, interactive ones first."""
        while len(self._ready) > workers:
            self._ready.pop()
        self._ready += [now + START_SECONDS if now else 0] * (workers - len(self._ready))
        room = sum(at <= now for at in self._ready) / self.text_seconds
        done = min(self.waiting, room)
        self.waiting -= done
        self.bulk -= min(self.bulk, room - done)
        self._busy.append(done * self.text_seconds)

    @property
    def values(self) -> dict[str, float]:
        """The metrics of the gateway's /api/v1/status, and the one that they replace."""
        return {
            "work_seconds": self.waiting * self.text_seconds,
            "bulk_work_seconds": self.bulk * self.text_seconds,
            "busy_workers": sum(self._busy) / BUSY_WINDOW,
            "unacked": min(self.waiting + self.bulk, PREFETCH * len(self._ready)),
        }


@dataclass(frozen=True)
class Load:
    """Arrivals.

    Attributes:
        title: for the plot.
        texts: interactive texts that arrive in a second.
        bulk: bulk texts that arrive in a second.
        text_seconds: seconds that a worker needs for a text.
        seconds: length of the simulation.
    """

    title: str
    texts: Callable[[int], float]
    seconds: int = 1800
    text_seconds: float = 0.005
    bulk: Callable[[int], float] = lambda _: 0.0


@dataclass(frozen=True)
class Trace:
    """What happened: one value per second."""

    workers: list[int]
    work: list[float]


def simulate(load: Load, policy: Policy, workers: int | None = None, seed: int = 1) -> Trace:
    """Return the number of workers over time; the arrivals of a second are random around their mean (Poisson)."""
    rng = random.Random(seed)
    scaler = Autoscaler(policy, policy.low if workers is None else workers)
    queue, trace = Queue(load.text_seconds), Trace([], [])
    for now in range(load.seconds):
        queue.waiting += poisson(rng, load.texts(now))
        queue.bulk += load.bulk(now)
        trace.workers.append(scaler.step(now, queue.values))
        queue.work(now, scaler.workers)
        trace.work.append(queue.values["work_seconds"] + queue.values["bulk_work_seconds"])
    return trace


def poisson(rng: random.Random, mean: float) -> float:
    """Return a random number of arrivals, by the normal approximation."""
    return max(0.0, round(rng.gauss(mean, math.sqrt(mean)))) if mean else 0.0


def burst(texts: int, at: int = 60) -> Callable[[int], float]:
    """Return the arrivals of texts that come within one second."""
    return lambda now: texts if now == at else 0


def ramp(low: float, high: float, start: int, end: int) -> Callable[[int], float]:
    """Return arrivals of `high` texts/s from `start` to `end`, and `low` otherwise."""
    return lambda now: high if start <= now < end else low


LOADS = {
    "burst": Load("300 short texts at once", burst(300)),
    "steady": Load("steady: 1,000 texts/s, 5 s of work per second", lambda _: 1000.0),
    "peak": Load("5 minutes of 2,000 texts/s, then 20", ramp(20, 2000, 120, 420)),
    "bulk": Load("bulk: 400,000 texts, 2,000 s of work", lambda _: 0.0, bulk=burst(400_000)),
}
IN_FLIGHT = Policy({"unacked": 8.0}, 1, 32, 0, 300, (("Percent", 100, 15), ("Pods", 4, 15)), (("Pods", 1, 60),))
"""The policy that was replaced: one worker per eight requests that workers hold."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 720, 170, 50, 30, 34, 30
STYLE = (
    "text{font:13px sans-serif;fill:#222}.grid{stroke:#8885}.now{stroke:#0072b2;stroke-width:2.5;fill:none}"
    ".old{stroke:#d55e00;stroke-width:1.5;stroke-dasharray:5 4;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


def plot(traces: dict[str, tuple[Trace, Trace]]) -> str:
    """Return the SVG: for each load the number of workers over time, with the new and with the replaced policy."""
    height = len(traces) * (HEIGHT + GAP) + TOP
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-label="Simulated number of workers over time">'
        ),
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT}" y="16">workers; solid: work in seconds, dashed: requests in flight</text>',
    ]
    for number, (name, (new, old)) in enumerate(traces.items()):
        top = TOP + number * (HEIGHT + GAP)
        parts += panel(top, LOADS[name].title, new.workers, old.workers)
    return "\n".join([*parts, "</svg>", ""])


def panel(top: int, title: str, new: list[int], old: list[int]) -> list[str]:
    """Return one diagram; its axis ends at 32 workers."""
    bottom, high = top + HEIGHT - 24, 32

    def line(values: list[int], style: str) -> str:
        scale = (WIDTH - LEFT - RIGHT) / len(values)
        steps = [n for n in range(len(values)) if n in {0, len(values) - 1} or values[n] != values[n - 1]]
        points = [(LEFT + n * scale, values[m]) for n in steps for m in (max(n - 1, 0), n)]
        pairs = " ".join(f"{x:.1f},{bottom - (bottom - top - 22) * value / high:.1f}" for x, value in points)
        return f'<polyline class="{style}" points="{pairs}"/>'

    grid = []
    for value in (0, 8, 16, 32):
        y = bottom - (bottom - top - 22) * value / high
        grid.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    for minute in range(0, len(new) // 60 + 1, 5):
        x = LEFT + (WIDTH - LEFT - RIGHT) * minute * 60 / len(new)
        grid.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{minute} min</text>')
    return [*grid, f'<text x="{LEFT + 8}" y="{top + 14}">{title}</text>', line(old, "old"), line(new, "now")]


def main() -> int:
    """Simulate all loads, print a table and write the plot; return the exit code."""
    policy, traces = Policy.read(), {}
    print("load     policy    most workers  at the end  worker-minutes  most work waiting")
    for name, load in LOADS.items():
        traces[name] = simulate(load, policy), simulate(load, IN_FLIGHT)
        for label, trace in zip(("seconds", "in flight"), traces[name], strict=True):
            minutes = sum(trace.workers) / 60
            print(
                f"{name:8} {label:10} {max(trace.workers):11} {trace.workers[-1]:11} {minutes:15.0f} "
                f"{max(trace.work):17.0f} s"
            )
    PLOT.write_text(plot(traces), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
