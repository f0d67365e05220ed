"""`hanner demo`: the whole path once. Starts everything, sends real texts, shows what came back and how, stops it."""

import contextlib
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hanner.cli import demo_texts
from hanner.cli.batch_events import Batch, BatchListener, padding
from hanner.cli.local_stack import Stack, Stopped, running, stopping
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT, Entity
from hanner.errors import HannerError

ALONE = 9
"""Texts that are sent one after the other, to see what one costs."""
SHOWN = 400
"""Characters of the long article that are printed."""
EVENTS = 5.0
"""Seconds to wait for events, which come a moment after the answers."""


def demo(
    model: Annotated[str | None, typer.Option(help="Folder of a model package, in place of HANNER_MODEL.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Pool processes; 0 is one per core.", min=0)] = None,
    burst: Annotated[int, typer.Option(help="Texts that are queued at once at the end.", min=1)] = 1000,
    broker: Annotated[str | None, typer.Option(help="A Redis that runs; without it, one is started.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for the worker's log, - for this terminal.")] = None,
) -> None:
    """Start everything, recognise a dozen texts, show how they were batched and how long it took, stop everything."""
    try:
        with stopping():
            print("Starting Redis and a worker …", flush=True)
            with running(broker, None, log, model=model, concurrency=concurrency) as stack:
                right = _perform(stack, burst)
    except Stopped:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("Stopped; no process is left.", file=sys.stderr)
        raise typer.Exit(130) from None
    print("Everything is stopped; no process is left.")
    if not right:
        raise HannerError(f"the model {stack.model} did not find in the first text what everyone sees there")


def _perform(stack: Stack, burst: int) -> bool:
    print(f"Model {stack.model}, {stack.settings.broker_url if stack.server else 'your Redis'}\n", flush=True)
    with BatchListener(stack.settings) as batches, Client(settings=stack.settings) as ner:
        batches.wait_until_heard(EVENTS)
        batches.take(0, 0)
        found = _dozen(ner, batches)
        _alone(ner, batches)
        _burst(ner, batches, burst)
    return _is_right(found)


def _dozen(ner: Client, batches: BatchListener) -> list[Entity]:
    """Send the short texts and the article at once and print them with their entities; return the first's."""
    from hanner.cli import render  # noqa: PLC0415 - rich takes its time

    texts = [*demo_texts.SENTENCES, demo_texts.ARTICLE]
    began = time.perf_counter()
    jobs = [ner.submit(text) for text in texts]
    answers = [job.result() for job in jobs]
    took = time.perf_counter() - began
    console = render.console()
    for text, entities in zip(texts, answers, strict=True):
        part = text[:SHOWN].replace("\n", " ")
        shown = [entity for entity in entities if entity.end <= len(part)]
        console.print(render.marked(part, shown, colour=console.is_terminal and not console.no_color))
        if len(part) < len(text):
            kinds = {kind: sum(entity.type == kind for entity in entities) for kind in ("PER", "LOC", "ORG")}
            counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
            console.print(f"… {len(text):,} characters in all, {len(entities)} entities ({counted})")
    print()
    _describe(f"{len(texts)} texts at once", took, batches.take(len(texts), EVENTS))
    return answers[0]


def _alone(ner: Client, batches: BatchListener) -> None:
    """Send single texts to an idle worker and print what queue and batching add to the engine's time."""
    times = []
    for _ in range(ALONE):
        began = time.perf_counter()
        ner.extract(EXAMPLE_TEXT)
        times.append((time.perf_counter() - began) * 1000)
    engine = [batch.engine_ms for batch in batches.take(ALONE, EVENTS)]
    line = f"One text alone: {statistics.median(times):.1f} ms"
    if engine:
        line += f", {statistics.median(engine):.1f} ms of it in the engine (medians of {ALONE})"
    print(line)


def _burst(ner: Client, batches: BatchListener, count: int) -> None:
    texts = demo_texts.mixture(count)
    began = time.perf_counter()
    jobs = [ner.submit(text) for text in texts]
    for job in jobs:
        job.result(timeout=600.0)
    took = time.perf_counter() - began
    _describe(
        f"{count:,} texts of {min(map(len, texts))} to {max(map(len, texts))} characters at once",
        took,
        batches.take(count, EVENTS),
    )


def _describe(what: str, took: float, batches: list[Batch]) -> None:
    texts = sum(batch.texts for batch in batches)
    print(f"{what}: {took:.2f} s")
    if not batches:
        print("  the worker said nothing of its batches")
        return
    sizes = sorted((batch.windows for batch in batches), reverse=True)
    largest = ", ".join(map(str, sizes[:12])) + (", …" if len(sizes) > 12 else "")
    engine = sum(batch.engine_ms for batch in batches) / 1000
    print(f"  {len(batches)} batches of {largest} windows; padding {padding(batches):.1%} of all tokens")
    print(
        f"  {texts / took:,.0f} texts/s, {sum(batch.tokens for batch in batches) / took:,.0f} tokens/s; "
        f"{engine:.2f} s in the engine over all processes, longest wait {max(b.waited_ms for b in batches):,.0f} ms"
    )


def _is_right(entities: list[Entity]) -> bool:
    found = tuple((entity.text, entity.type, entity.start, entity.end) for entity in entities)
    if found != demo_texts.EXPECTED:
        print(f"hanner: expected {demo_texts.EXPECTED}, got {found}", file=sys.stderr)
    return found == demo_texts.EXPECTED
