"""The client: send Chinese texts, get entities. Blocking; AsyncClient in aio.py has the same verbs."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, Literal, Self, overload

from hanner._requests import RequestSender, answers
from hanner.chunks import WINDOW, Chunk, ChunkLimits
from hanner.contract import Document, Entity
from hanner.errors import HannerError, QueueFull, TimedOut
from hanner.jobs import DEFAULT, Job, Timeout, seconds
from hanner.queue.routing import Destination, PriorityName
from hanner.queue.stats import Backlog
from hanner.settings import Settings
from hanner.utils.backoff import Backoff

SLOW = 0.05
"""Seconds a stream's source may take for a text before what has been gathered is sent without waiting for more."""


class Client:
    """Finds people, places and organisations in Chinese texts, by way of a queue.

    Threads may share one client, and a client made before a fork works in the child. Nothing is opened before the
    first call. Use it as a context manager, or call `close`.

    Args:
        broker_url: Where Redis is; HANNER_BROKER_URL when None, else redis://localhost:6379/0.
        settings: All settings; read from HANNER_ variables when None.
        **overrides: Single settings by name, such as `timeout=5`; they win.

    Raises:
        InvalidSettings: a setting cannot be used; the sentence names it.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._outbox: Final = RequestSender(broker_url, settings, overrides)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._outbox.settings

    def extract(
        self,
        text: str,
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
    ) -> list[Entity]:
        """Return the entities of one text, sorted, never overlapping.

        Args:
            text: The text; start and end of each entity count its code points.
            timeout: Seconds to wait; None waits for ever; `Settings.timeout` when not given. No worker begins with
                the text later than a minute after that.
            priority: "interactive" goes before "bulk", whatever its age.
            model: Name of the model, found by HANNER_ROUTES or its queue hanner.MODEL. None: HANNER_QUEUE's.

        Raises:
            InvalidText: the text cannot be worked on; nothing was sent.
            UnknownModel: nobody has ever run a model of this name; nothing was sent.
            HannerError: its child that names why there is no answer.
        """
        request = self._outbox.one(text, self._outbox.where(priority, model))
        return self._outbox.send(request, self._outbox.lifetime(timeout)).result(timeout)

    def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
    ) -> list[Document]:
        """Return one document per text, in order, by one request of at most 256 texts.

        A text that cannot be worked on fails alone: its document has an `error`. Arguments are those of `extract`.

        Raises:
            InvalidText: `texts` is no list, empty, or too long.
            HannerError: its child that names why there is no answer.
        """
        parcel = self._outbox.pack(texts)
        if not parcel.texts:
            return parcel.fill([])
        request = self._outbox.parcel(parcel, self._outbox.where(priority, model))
        return parcel.fill(self._outbox.send(request, self._outbox.lifetime(timeout)).result(timeout))

    def submit(
        self,
        text: str,
        *,
        expires: float | None = None,
        priority: PriorityName = "interactive",
        model: str | None = None,
    ) -> Job[list[Entity]]:
        """Send one text and return at once.

        Args:
            text: The text.
            expires: Seconds after which a worker need no longer begin with it; the job then raises Expired.
            priority: "interactive" goes before "bulk", whatever its age.
            model: Name of the model, found by HANNER_ROUTES or its queue hanner.MODEL. None: HANNER_QUEUE's.

        Raises:
            InvalidText: the text cannot be worked on; nothing was sent.
            UnknownModel: nobody has ever run a model of this name; nothing was sent.
            QueueFull: the queue has no room for it; its `seconds` say how long what waits will take.
            BrokerUnreachable: Redis did not take it.
        """
        return self._outbox.send(self._outbox.one(text, self._outbox.where(priority, model)), expires)

    def submit_many(
        self,
        texts: list[str] | tuple[str, ...],
        *,
        expires: float | None = None,
        priority: PriorityName = "bulk",
        model: str | None = None,
    ) -> Job[list[Document]]:
        """Send up to 256 texts in one request and return at once. Arguments are those of `submit`.

        Raises:
            InvalidText: one of the texts cannot be worked on; nothing was sent.
            QueueFull: the queue has no room for it; its `seconds` say how long what waits will take.
            BrokerUnreachable: Redis did not take it.
        """
        return self._outbox.send(self._outbox.many(texts, self._outbox.where(priority, model)), expires)

    @overload
    def job(self, task_id: str) -> Job[list[Entity]]: ...
    @overload
    def job(self, task_id: str, *, many: Literal[True]) -> Job[list[Document]]: ...
    def job(self, task_id: str, *, many: bool = False) -> Job[list[Entity]] | Job[list[Document]]:
        """Return the job of a request sent earlier, perhaps by another process; `many` for one of `submit_many`."""
        return self._outbox.job(task_id, many=many)

    def stream(
        self,
        texts: Iterable[str],
        *,
        window: int = WINDOW,
        timeout: Timeout = DEFAULT,
        priority: PriorityName = "bulk",
        model: str | None = None,
    ) -> Iterator[Document]:
        """Yield one document per text, in order, from a source of any length.

        Texts travel in requests of up to 64. At most `window` texts have been taken from the source and not yet been
        given out, so memory is bounded and the queue is not flooded; when the consumer stops early, the rest is
        revoked. A text that cannot be worked on yields a document with an `error`.

        While the queue is full, or a Redis that was there before is away, the stream waits and gives out what is
        answered. Only when nothing moves for `timeout` seconds it raises.

        Args:
            texts: Any iterable; it is asked for more only while there is room.
            window: Most texts in flight.
            timeout: Seconds to wait for the next document.
            priority: "interactive" goes before "bulk", whatever its age.
            model: Name of the model, found by HANNER_ROUTES or its queue hanner.MODEL. None: HANNER_QUEUE's.

        Raises:
            InvalidSettings: the window is not positive, or there is no such priority.
            UnknownModel: nobody has ever run a model of this name; nothing was sent.
            BrokerUnreachable: Redis does not answer.
            QueueFull: the queue had no room for too long.
            TimedOut: no document came for too long.
        """
        return self._stream(iter(texts), self._outbox.bounds(window), timeout, self._outbox.where(priority, model))

    def backlog(self, model: str | None = None) -> Backlog:
        """Say what waits in the queue, or in that of a model, and which workers are there.

        Raises:
            UnknownModel: nobody has ever run a model of this name.
            BrokerUnreachable: Redis did not answer.
        """
        return self._outbox.link.backlog(model)

    def queue_of(self, model: str | None = None) -> str:
        """Return the queue that a model's requests go to.

        Raises:
            UnknownModel: nobody has ever run a model of this name, and HANNER_ROUTES does not have it.
            BrokerUnreachable: Redis did not answer.
        """
        return self._outbox.where("interactive", model).queue

    def close(self) -> None:
        """Close the connections. Jobs that are waited for fail; requests that were sent are still worked on."""
        self._outbox.link.close()

    def _stream(
        self, source: Iterator[str], bounds: ChunkLimits, timeout: Timeout, where: Destination
    ) -> Iterator[Document]:
        launch = partial(self._launch, where)
        flights: deque[_Flight] = deque()
        slowdown = Backoff(seconds(timeout, self._outbox.link))
        try:
            gathered = Chunk()
            asked = time.monotonic()
            for text in source:
                slow = time.monotonic() - asked > SLOW
                gathered.add(text, bounds.max_chars)
                if slow or bounds.complete(gathered):
                    yield from launch(gathered, flights, slowdown)
                    gathered = Chunk()
                while flights and (flights[0].landed() or bounds.full([*(f.parcel for f in flights), gathered])):
                    yield from flights[0].documents(timeout)
                    flights.popleft()
                asked = time.monotonic()
            if gathered.slots:
                yield from launch(gathered, flights, slowdown)
            while flights:
                yield from flights[0].documents(timeout)
                flights.popleft()
        except (GeneratorExit, TimedOut, QueueFull):
            self._outbox.revoke_quietly(flight.job for flight in flights)
            raise
        finally:
            for flight in flights:
                flight.abandon()

    def _launch(
        self, where: Destination, parcel: Chunk, flights: "deque[_Flight]", slowdown: Backoff
    ) -> Iterator[Document]:
        """Send a parcel; while it is refused, wait, and give out what is answered."""
        while True:
            try:
                job = self._outbox.send(self._outbox.parcel(parcel, where)) if parcel.texts else None
                break
            except HannerError as error:
                if not self._outbox.link.passing(error):
                    raise
                pause = slowdown.pause(error, time.monotonic())
            if not flights:
                time.sleep(pause)
            elif flights[0].lands(pause):
                yield from flights.popleft().documents(0)
                slowdown.progress()
        slowdown.progress()
        if job is not None:
            job.expect()
        flights.append(_Flight(parcel, job))


class _Flight:
    """A parcel of a stream and its job; no job when no text of it was worth sending."""

    def __init__(self, parcel: Chunk, job: Job[list[Document]] | None) -> None:
        self.parcel = parcel
        self.job = job

    def landed(self) -> bool:
        """Say whether documents() would return at once."""
        return self.job is None or self.job.arrived()

    def lands(self, seconds: float) -> bool:
        """Wait so many seconds at most; say whether documents() would return at once."""
        return self.job is None or self.job.arrives(seconds)

    def documents(self, timeout: Timeout) -> list[Document]:
        """Wait for the answers. Trouble with Redis, or time, raises."""
        if self.job is not None:
            self.job.wait(timeout)
        return answers(self.parcel, self.job)

    def abandon(self) -> None:
        """Wait no more."""
        if self.job is not None:
            self.job.abandon()
