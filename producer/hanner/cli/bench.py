"""`hanner bench`: texts per second of this queue, or of the model alone, and the latency of one text."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from hanner.cli import demo_texts
from hanner.cli.plugins import local
from hanner.cli.probe import model_of
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.settings import Settings

ALONE = 25
"""Texts that are sent one after the other."""
WARM_UP = 3
KINDS = 1000
"""Different texts, of 4 to some hundreds of characters; sent in turn, so that a cache must be off to be honest."""
SLICE = 64
"""Texts that the model alone is given at once."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        what: `queue` or `local`.
        model: NAME@DIGEST8.
        texts: Texts answered in the second part.
        characters: Code points in them.
        failed: Texts among them that had an error.
        seconds: How long that took.
        alone_ms: Median time of one text with nothing else sent, in milliseconds.
        alone_p95_ms: The time that 95 of 100 such texts do not exceed.
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
        """Return it for JSON."""
        rates = {"texts_per_second": round(self.rate, 1)}
        rates["characters_per_second"] = round(self.characters / self.seconds, 1) if self.seconds else 0.0
        return asdict(self) | rates


def bench(
    alone: Annotated[bool, typer.Option("--local", help="Measure this machine's model, without a queue.")] = False,
    seconds: Annotated[float, typer.Option(help="How long texts are sent.", min=0.1)] = 10.0,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure texts per second and the time of a single text, with real sentences of mixed lengths."""
    if alone and broker is not None:
        raise HannerError("--local uses no queue; leave --broker out")
    settings = Settings.from_env() if broker is None else Settings.from_env(broker_url=broker)
    if sys.stderr.isatty():
        print(f"Measuring for about {seconds:g} s …", file=sys.stderr)
    result = of_model(local("load")(settings=settings), seconds) if alone else of_queue(settings, seconds)
    if as_json:
        print(json.dumps(result.as_dict()))
    elif sys.stdout.isatty():
        print(described(result))
    else:
        for name, value in result.as_dict().items():
            print(name, value, sep="\t")


def of_queue(settings: Settings, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Measure the queue: single texts first, then a stream of them.

    Raises:
        HannerError: nothing is answered.
    """
    with Client(settings=settings) as ner:
        model = model_of(ner)
        times = _alone(ner.extract, seconds, clock)
        sent: list[int] = []
        began = clock()
        failed = sum(d.error is not None for d in ner.stream(_noted(sent, lambda: clock() - began < seconds)))
        return _measured("queue", model, sent, failed, clock() - began, times)


def of_model(recogniser: Any, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Measure a model in this process; `recogniser` is what `hanner_inference.load` returns."""
    times = _alone(lambda text: recogniser.extract([text]), seconds, clock)
    sent: list[int] = []
    began = clock()
    texts = _noted(sent, lambda: clock() - began < seconds)
    while batch := [text for _, text in zip(range(SLICE), texts, strict=False)]:
        recogniser.extract(batch)
    return _measured("local", recogniser.model, sent, 0, clock() - began, times)


def _alone(extract: Callable[[str], Any], seconds: float, clock: Callable[[], float]) -> list[float]:
    """Return the seconds that single texts took; fewer texts where each takes long."""
    times: list[float] = []
    end = clock() + seconds
    while len(times) < WARM_UP + ALONE and (len(times) < WARM_UP + 2 or clock() < end):
        began = clock()
        extract(EXAMPLE_TEXT)
        times.append(clock() - began)
    return times[WARM_UP:]


def _noted(lengths: list[int], more: Callable[[], bool]) -> Iterator[str]:
    """Yield texts while more are wanted, and note their lengths."""
    texts = demo_texts.mixture(KINDS)
    while more():
        text = texts[len(lengths) % KINDS]
        lengths.append(len(text))
        yield text


def _measured(what: str, model: str, sent: Sequence[int], failed: int, seconds: float, times: list[float]) -> Measured:
    p95 = statistics.quantiles(times, n=20)[-1]
    median = statistics.median(times)
    return Measured(
        what, model, len(sent), sum(sent), failed, round(seconds, 3), round(median * 1000, 2), round(p95 * 1000, 2)
    )


def described(result: Measured) -> str:
    """Return what was measured, for people."""
    where = "the queue" if result.what == "queue" else "the model alone, one process"
    failed = f", {result.failed:,} failed" if result.failed else ""
    return f"""\
{where}, {result.model}
  {result.rate:,.0f} texts/s ({result.characters / max(result.seconds, 1e-9):,.0f} characters/s): \
{result.texts:,} texts in {result.seconds:.1f} s{failed}
  one text alone: {result.alone_ms:.1f} ms, 95 of 100 within {result.alone_p95_ms:.1f} ms"""
