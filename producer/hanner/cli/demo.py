"""`hanner demo`: starts Redis and a worker, sends texts, prints results, batches and timings, and stops everything."""

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanner.cli import demo_texts, terminal
from hanner.cli.batch_events import BatchEvent, BatchEventListener, padding_share
from hanner.cli.errors import INTERRUPTED
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner.cli.local_stack import LocalStack
    from hanner.client import Client
    from hanner.results import Entity

SINGLE_TEXTS = 9
"""Texts that are sent one after the other to measure latency."""
SHOWN_CHARACTERS = 400
"""Characters of the article that are printed."""
EVENT_TIMEOUT = 5.0
"""Seconds to wait for events, which arrive shortly after the results."""
BURST_TIMEOUT = 600.0


def demo(
    model: Annotated[
        str | None, typer.Option(help="Bundled model, or folder of a package; overrides HANNER_MODEL.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Pool processes; 0 is one per core.", min=0)] = None,
    burst: Annotated[int, typer.Option(help="Number of texts in the final burst.", min=1)] = 1000,
    broker: Annotated[str | None, typer.Option(help="URL of a running Redis. Default: start one.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for the worker's log; - for this terminal.")] = None,
) -> None:
    """Start Redis and a worker, send sample texts, print results and timings."""
    from hanner.cli.local_stack import StopRequested, handle_stop_signals, run_stack

    try:
        with handle_stop_signals():
            print("Starting Redis and a worker …", flush=True)
            with run_stack(broker, None, log, model=model, concurrency=concurrency) as stack:
                correct = _run(stack, burst)
    except StopRequested:
        with contextlib.suppress(OSError):  # the terminal may be closed
            print("Stopped; all processes have ended.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    print("Stopped; all processes have ended.")
    if not correct:
        raise HannerError(f"model {stack.model} did not find the expected entities in {EXAMPLE_TEXT}; check the model")


def _run(stack: "LocalStack", burst: int) -> bool:
    """Send the texts and print the results; return whether those of the first text are correct."""
    from hanner.client import Client

    print(f"Model {stack.model}, {stack.settings.broker_url if stack.server else 'your Redis'}\n", flush=True)
    with BatchEventListener(stack.settings) as listener, Client(settings=stack.settings) as ner:
        listener.wait_until_subscribed(EVENT_TIMEOUT)
        listener.take(0, 0)
        entities = _send_samples(ner, listener)
        _send_single_texts(ner, listener)
        _send_burst(ner, listener, burst)
    return _is_correct(entities)


def _send_samples(ner: "Client", listener: BatchEventListener) -> "list[Entity]":
    """Send the sentences and the article at once, print them with their entities; return those of the first."""
    texts = [*demo_texts.SENTENCES, demo_texts.ARTICLE]
    began = time.perf_counter()
    jobs = [ner.submit(text) for text in texts]
    results = [job.result() for job in jobs]
    seconds = time.perf_counter() - began
    console = terminal.console()
    for text, entities in zip(texts, results, strict=True):
        part = text[:SHOWN_CHARACTERS].replace("\n", " ")
        shown = [entity for entity in entities if entity.end <= len(part)]
        console.print(terminal.highlight(part, shown, colour=console.is_terminal and not console.no_color))
        if len(part) < len(text):
            kinds = {kind: sum(entity.type == kind for entity in entities) for kind in ("PER", "LOC", "ORG")}
            counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
            console.print(f"… {len(text):,} characters in all, {len(entities)} entities ({counts})")
    print()
    _print_batches(f"{len(texts)} texts at once", seconds, listener.take(len(texts), EVENT_TIMEOUT))
    return results[0]


def _send_single_texts(ner: "Client", listener: BatchEventListener) -> None:
    """Send single texts to an idle worker; print the latency and the engine's part of it."""
    import statistics

    latencies = []
    for _ in range(SINGLE_TEXTS):
        began = time.perf_counter()
        ner.extract(EXAMPLE_TEXT)
        latencies.append((time.perf_counter() - began) * 1000)
    engine = [batch.engine_ms for batch in listener.take(SINGLE_TEXTS, EVENT_TIMEOUT)]
    line = f"single text: {statistics.median(latencies):.1f} ms"
    if engine:
        line += f", of which {statistics.median(engine):.1f} ms in the engine (medians of {SINGLE_TEXTS})"
    print(line)


def _send_burst(ner: "Client", listener: BatchEventListener, count: int) -> None:
    texts = demo_texts.mixture(count)
    began = time.perf_counter()
    jobs = [ner.submit(text) for text in texts]
    for job in jobs:
        job.result(timeout=BURST_TIMEOUT)
    seconds = time.perf_counter() - began
    lengths = f"{min(map(len, texts))} to {max(map(len, texts))} characters"
    _print_batches(f"{count:,} texts of {lengths} at once", seconds, listener.take(count, EVENT_TIMEOUT))


def _print_batches(what: str, seconds: float, batches: list[BatchEvent]) -> None:
    texts = sum(batch.texts for batch in batches)
    print(f"{what}: {seconds:.2f} s")
    if not batches:
        print("  no batch events received")
        return
    sizes = sorted((batch.windows for batch in batches), reverse=True)
    largest = ", ".join(map(str, sizes[:12])) + (", …" if len(sizes) > 12 else "")
    engine = sum(batch.engine_ms for batch in batches) / 1000
    print(f"  {len(batches)} batches of {largest} windows; {padding_share(batches):.1%} of tokens are padding")
    print(
        f"  {texts / seconds:,.0f} texts/s, {sum(batch.tokens for batch in batches) / seconds:,.0f} tokens/s; "
        f"{engine:.2f} s in the engine (all processes), longest wait {max(b.waited_ms for b in batches):,.0f} ms"
    )


def _is_correct(entities: "list[Entity]") -> bool:
    found = tuple((entity.text, entity.type, entity.start, entity.end) for entity in entities)
    if found != demo_texts.EXPECTED:
        print(f"hanner: expected {demo_texts.EXPECTED}, got {found}", file=sys.stderr)
    return found == demo_texts.EXPECTED
