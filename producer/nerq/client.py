"""The client: send Chinese texts, get entities. Blocking; AsyncClient in aio.py has the same verbs."""

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, Self, overload

from nerq import outcomes
from nerq.contract import EXTRACT, EXTRACT_MANY, Document, Entity, text_fault, texts_fault
from nerq.errors import InvalidText, NerqError, TimedOut
from nerq.jobs import DEFAULT, Job, Timeout, seconds
from nerq.link import Link
from nerq.parcels import WINDOW, Bounds, Parcel
from nerq.settings import Settings

SLOW = 0.05
"""Seconds a stream's source may take for a text before what has been gathered is sent without waiting for more."""
GRACE = 60.0
"""Seconds by which `extract`'s request outlives its caller's patience: clocks of client and worker may differ."""


class Client:
    """Finds people, places and organisations in Chinese texts, by way of a queue.

    Threads may share one client, and a client made before a fork works in the child. Nothing is opened before the
    first call. Use it as a context manager, or call `close`.

    Args:
        broker_url: Where Redis is; NERQ_BROKER_URL when None, else redis://localhost:6379/0.
        settings: All settings; read from NERQ_ variables when None.
        **overrides: Single settings by name, such as `timeout=5`; they win.

    Raises:
        InvalidSettings: a setting cannot be used; the sentence names it.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._link: Final = Link(resolve(broker_url, settings, overrides))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._link.settings

    def extract(self, text: str, timeout: Timeout = DEFAULT) -> list[Entity]:
        """Return the entities of one text, sorted, never overlapping.

        Args:
            text: The text; start and end of each entity count its code points.
            timeout: Seconds to wait; None waits for ever; `Settings.timeout` when not given. A worker does not
                begin with the text a minute after that.

        Raises:
            InvalidText: the text cannot be worked on; nothing was sent.
            NerqError: its child that names why there is no answer.
        """
        check(text, self.settings)
        job = self._send(text, expires=_lifetime(timeout, self._link))
        return job.result(timeout)

    def extract_many(self, texts: list[str] | tuple[str, ...], timeout: Timeout = DEFAULT) -> list[Document]:
        """Return one document per text, in order, in one request of at most 256 texts.

        A text that cannot be worked on fails alone: its document has an `error`.

        Raises:
            InvalidText: `texts` is no list, empty, or too long.
            NerqError: its child that names why there is no answer.
        """
        parcel = pack(texts, self.settings)
        if not parcel.texts:
            return parcel.fill([])
        job = self._send_many(parcel.texts, expires=_lifetime(timeout, self._link))
        return parcel.fill(job.result(timeout))

    def submit(self, text: str, *, expires: float | None = None) -> Job[list[Entity]]:
        """Send one text and return at once.

        Args:
            text: The text.
            expires: Seconds after which a worker need no longer begin with it; the job then raises Expired.

        Raises:
            InvalidText: the text cannot be worked on; nothing was sent.
            BrokerUnreachable: Redis did not take it.
        """
        check(text, self.settings)
        return self._send(text, expires=expires)

    def submit_many(self, texts: list[str] | tuple[str, ...], *, expires: float | None = None) -> Job[list[Document]]:
        """Send up to 256 texts in one request and return at once.

        Raises:
            InvalidText: one of the texts cannot be worked on; nothing was sent.
            BrokerUnreachable: Redis did not take it.
        """
        return self._send_many(all_valid(texts, self.settings), expires=expires)

    @overload
    def job(self, task_id: str) -> Job[list[Entity]]: ...
    @overload
    def job(self, task_id: str, *, many: Literal[True]) -> Job[list[Document]]: ...
    def job(self, task_id: str, *, many: bool = False) -> Job[list[Entity]] | Job[list[Document]]:
        """Return the job of a request sent earlier, perhaps by another process; `many` for one of `submit_many`."""
        if many:
            return Job(self._link, task_id, outcomes.documents)
        return Job(self._link, task_id, outcomes.entities)

    def stream(self, texts: Iterable[str], *, window: int = WINDOW, timeout: Timeout = DEFAULT) -> Iterator[Document]:
        """Yield one document per text, in order, from a source of any length.

        Texts travel in requests of up to 64. At most `window` texts have been taken from the source and not yet been
        given out, so memory is bounded and the queue is not flooded; a consumer that stops early has the rest revoked.
        A text that cannot be worked on yields a document with an `error`; trouble with Redis raises.

        Args:
            texts: Any iterable; it is asked for more only while there is room.
            window: Most texts in flight.
            timeout: Seconds to wait for the next document.

        Raises:
            InvalidSettings: the window is not positive.
            BrokerUnreachable: Redis does not answer.
            TimedOut: no document came for too long.
        """
        bounds = Bounds(window, self.settings.max_text_chars)
        return self._stream(iter(texts), bounds, timeout)

    def close(self) -> None:
        """Close the connections. Jobs that are waited for fail; requests that were sent are still worked on."""
        self._link.close()

    def _stream(self, source: Iterator[str], bounds: Bounds, timeout: Timeout) -> Iterator[Document]:
        flights: deque[Flight] = deque()
        try:
            gathered = Parcel()
            asked = time.monotonic()
            for text in source:
                slow = time.monotonic() - asked > SLOW
                gathered.add(text, bounds.max_chars)
                if slow or bounds.complete(gathered):
                    flights.append(self._launch(gathered))
                    gathered = Parcel()
                while flights and (flights[0].landed() or bounds.full([*(f.parcel for f in flights), gathered])):
                    yield from flights[0].documents(timeout)
                    flights.popleft()
                asked = time.monotonic()
            if gathered.slots:
                flights.append(self._launch(gathered))
            while flights:
                yield from flights[0].documents(timeout)
                flights.popleft()
        except (GeneratorExit, TimedOut):
            self._revoke(flights)
            raise
        finally:
            for flight in flights:
                flight.abandon()

    def _launch(self, parcel: Parcel) -> "Flight":
        if not parcel.texts:
            return Flight(parcel, None)
        job = self._send_many(parcel.texts)
        job.expect()
        return Flight(parcel, job)

    def _revoke(self, flights: Iterable["Flight"]) -> None:
        """Tell the workers that nobody waits any more; it only saves work, so it may fail."""
        ids = [flight.job.id for flight in flights if flight.job is not None and not flight.landed()]
        if ids:
            with contextlib.suppress(NerqError):
                self._link.revoke(*ids)

    def _send(self, text: str, expires: float | None = None) -> Job[list[Entity]]:
        return Job(self._link, self._link.send(EXTRACT, text, expires=expires), outcomes.entities)

    def _send_many(self, texts: list[str], expires: float | None = None) -> Job[list[Document]]:
        task_id = self._link.send(EXTRACT_MANY, texts, expires=expires)
        return Job(self._link, task_id, lambda meta: outcomes.documents(meta, len(texts)))


class Flight:
    """A parcel of a stream and its job; no job when no text of it was worth sending."""

    def __init__(self, parcel: Parcel, job: Job[list[Document]] | None) -> None:
        self.parcel = parcel
        self.job = job

    def landed(self) -> bool:
        """Say whether documents() would return at once."""
        return self.job is None or self.job.arrived()

    def abandon(self) -> None:
        """Wait no more."""
        if self.job is not None:
            self.job.abandon()

    def documents(self, timeout: Timeout) -> list[Document]:
        """Wait for the answers; a request that failed as a whole gives every text its error."""
        if self.job is None:
            return self.parcel.fill([])
        self.job.wait(timeout)  # trouble with Redis, or time, raises here
        try:
            return self.parcel.fill(self.job.result())
        except NerqError as error:
            if error.code is None:  # an answer that makes no sense: nothing after it would
                raise
            return self.parcel.fail(error)


def resolve(broker_url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> Settings:
    """Return the settings of a client: given ones or the environment's, with overrides on top."""
    if broker_url is not None:
        overrides = {"broker_url": broker_url} | overrides
    if settings is None:
        return Settings.from_env(**overrides)
    return Settings.from_env({}, **(settings.model_dump() | overrides)) if overrides else settings


def check(text: Any, settings: Settings) -> None:
    """Raise InvalidText when a text cannot be worked on."""
    if isinstance(text, list | tuple):
        raise InvalidText("a text must be a string, not a list; for several texts use extract_many() or stream()")
    fault = text_fault(text, settings.max_text_chars)
    if fault is not None:
        raise InvalidText(fault)


def pack(texts: Any, settings: Settings) -> Parcel:
    """Check a list of texts and pack it; texts that cannot be worked on are set aside one by one."""
    fault = texts_fault(texts)
    if fault is not None:
        raise InvalidText(fault)
    parcel = Parcel()
    for text in texts:
        parcel.add(text, settings.max_text_chars)
    return parcel


def all_valid(texts: Any, settings: Settings) -> list[str]:
    """Return the texts as a list; raise InvalidText for the first that cannot be worked on."""
    parcel = pack(texts, settings)
    for number, slot in enumerate(parcel.slots):
        if slot is not None and slot.error is not None:
            raise InvalidText(f"text {number}: {slot.error.message}")
    return parcel.texts


def _lifetime(timeout: Timeout, link: Link) -> float | None:
    limit = seconds(timeout, link)
    return None if limit is None else limit + GRACE
