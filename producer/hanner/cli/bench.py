"""`hanner bench`: measures the throughput of the queue, or of the model alone, and the latency of single texts."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.cli import demo_texts
from hanner.cli.errors import UsageError
from hanner.cli.plugins import load_local
from hanner.cli.probe import query_model
from hanner.contract import EXAMPLE_TEXT

if TYPE_CHECKING:
    from hanner.settings import Settings

SINGLE_TEXTS = 25
"""Texts that are sent one after the other to measure latency."""
WARM_UP = 3
DISTINCT_TEXTS = 1000
"""Different texts, of 4 to several hundred characters, sent in turn; turn the cache off for a fair measurement."""
MODEL_CALL_TEXTS = 64
"""Texts in one call of the model alone."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The measurements.

    Attributes:
        what: `queue` or `local`.
        model: NAME@DIGEST8.
        texts: Texts answered in the throughput measurement.
        characters: Code points in them.
        failed: Texts among them that had an error.
        seconds: Duration of the throughput measurement.
        alone_ms: Median latency of a single text, in milliseconds.
        alone_p95_ms: 95th percentile of that latency.
    """

    what: str
    model: str
    texts: int
    characters: int
    failed: int
    seconds: float
    alone_ms: float
    alone_p95_ms: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.texts / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the measurements and rates for JSON."""
        rates = {"texts_per_second": round(self.rate, 1)}
        rates["characters_per_second"] = round(self.characters / self.seconds, 1) if self.seconds else 0.0
        return asdict(self) | rates


def bench(
    local: Annotated[bool, typer.Option("--local", help="Measure the model on this machine, without a queue.")] = False,
    seconds: Annotated[float, typer.Option(help="Duration of the throughput measurement.", min=0.1)] = 10.0,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure throughput and latency with real sentences of mixed lengths."""
    from hanner.settings import Settings

    if local and broker is not None:
        raise UsageError("--local uses no queue; remove --broker")
    settings = Settings.from_env() if broker is None else Settings.from_env(broker_url=broker)
    if sys.stderr.isatty():
        print(f"Measuring for about {seconds:g} s …", file=sys.stderr)
    if local:
        result = measure_model(load_local("load")(settings=settings), seconds)
    else:
        result = measure_queue(settings, seconds)
    if as_json:
        print(json.dumps(result.as_dict()))
    elif sys.stdout.isatty():
        print(format_result(result))
    else:
        for name, value in result.as_dict().items():
            print(name, value, sep="\t")


def measure_queue(settings: "Settings", seconds: float, clock: Callable[[], float] = time.perf_counter) -> BenchResult:
    """Measure the queue: first single texts, then a stream of texts.

    Raises:
        HannerError: no worker answers.
    """
    from hanner.client import Client

    with Client(settings=settings) as ner:
        model = query_model(ner)
        latencies = _measure_latencies(ner.extract, seconds, clock)
        lengths: list[int] = []
        began = clock()
        texts = _generate_texts(lengths, lambda: clock() - began < seconds)
        failed = sum(document.error is not None for document in ner.stream(texts))
        return _make_result("queue", model, lengths, failed, clock() - began, latencies)


def measure_model(recogniser: Any, seconds: float, clock: Callable[[], float] = time.perf_counter) -> BenchResult:
    """Measure a model in this process; `recogniser` is a `hanner_inference.Recogniser`."""
    latencies = _measure_latencies(lambda text: recogniser.extract([text]), seconds, clock)
    lengths: list[int] = []
    began = clock()
    texts = _generate_texts(lengths, lambda: clock() - began < seconds)
    while batch := [text for _, text in zip(range(MODEL_CALL_TEXTS), texts, strict=False)]:
        recogniser.extract(batch)
    return _make_result("local", recogniser.model, lengths, 0, clock() - began, latencies)


def _measure_latencies(extract: Callable[[str], Any], seconds: float, clock: Callable[[], float]) -> list[float]:
    """Return the latencies of single texts in seconds; fewer texts if each takes long."""
    latencies: list[float] = []
    end = clock() + seconds
    while len(latencies) < WARM_UP + SINGLE_TEXTS and (len(latencies) < WARM_UP + 2 or clock() < end):
        began = clock()
        extract(EXAMPLE_TEXT)
        latencies.append(clock() - began)
    return latencies[WARM_UP:]


def _generate_texts(lengths: list[int], more: Callable[[], bool]) -> Iterator[str]:
    """Yield texts while `more()` is true, and append their lengths to `lengths`."""
    texts = demo_texts.mixture(DISTINCT_TEXTS)
    while more():
        text = texts[len(lengths) % DISTINCT_TEXTS]
        lengths.append(len(text))
        yield text


def _make_result(
    what: str, model: str, lengths: Sequence[int], failed: int, seconds: float, latencies: list[float]
) -> BenchResult:
    import statistics

    return BenchResult(
        what=what,
        model=model,
        texts=len(lengths),
        characters=sum(lengths),
        failed=failed,
        seconds=round(seconds, 3),
        alone_ms=round(statistics.median(latencies) * 1000, 2),
        alone_p95_ms=round(statistics.quantiles(latencies, n=20)[-1] * 1000, 2),
    )


def format_result(result: BenchResult) -> str:
    """Return the measurements as text for people."""
    what = "queue" if result.what == "queue" else "model alone, one process"
    failed = f", {result.failed:,} failed" if result.failed else ""
    return f"""\
{what}, {result.model}
  throughput: {result.rate:,.0f} texts/s ({result.characters / max(result.seconds, 1e-9):,.0f} characters/s), \
{result.texts:,} texts in {result.seconds:.1f} s{failed}
  latency of a single text: median {result.alone_ms:.1f} ms, 95th percentile {result.alone_p95_ms:.1f} ms"""
