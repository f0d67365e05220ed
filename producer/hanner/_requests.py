"""What the blocking and the asyncio client share: check texts, send them, hand out jobs."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from hanner.chunks import Chunk, ChunkLimits
from hanner.contract import EXTRACT, EXTRACT_MANY, Document, Entity, text_fault, texts_fault
from hanner.errors import HannerError, InvalidText
from hanner.jobs import Job, Timeout, seconds
from hanner.queue.routing import Destination
from hanner.settings import Settings
from hanner.transport import result_parser as outcomes
from hanner.transport.connection import BrokerConnection
from hanner.transport.pending import PendingMessage

T = TypeVar("T")
Tell = Callable[[HannerError | None], None]
GRACE = 60.0
"""Seconds by which a request outlives the patience of its only caller: clocks of client and worker may differ."""


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """What may be sent: a task's name, its argument, where to, and how to read the answer."""

    task: str
    argument: str | list[str]
    where: Destination
    read: Callable[[outcomes.Meta], T]


class RequestSender:
    """Sends what has been checked. Threads may share it.

    Args:
        broker_url: Where Redis is, or None.
        settings: All settings; read from HANNER_ variables when None.
        overrides: Single settings by name; they win.

    Raises:
        InvalidSettings: a setting cannot be used.
    """

    def __init__(self, broker_url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> None:
        self.settings: Final = resolve(broker_url, settings, overrides)
        self.link: Final = BrokerConnection(self.settings)

    def where(self, priority: str, model: str | None = None) -> Destination:
        """Return where a request goes; see `Link.destination`."""
        return self.link.destination(priority, model)

    def one(self, text: str, where: Destination) -> Request[list[Entity]]:
        """Make a request of one text.

        Raises:
            InvalidText: the text cannot be worked on.
        """
        if isinstance(text, list | tuple):
            raise InvalidText("a text must be a string, not a list; for several texts use extract_many() or stream()")
        fault = text_fault(text, self.settings.max_text_chars)
        if fault is not None:
            raise InvalidText(fault)
        return Request(EXTRACT, text, where, outcomes.entities)

    def many(self, texts: Any, where: Destination) -> Request[list[Document]]:
        """Make a request of several texts.

        Raises:
            InvalidText: one of them cannot be worked on.
        """
        parcel = self.pack(texts)
        for number, slot in enumerate(parcel.slots):
            if slot is not None and slot.error is not None:
                raise InvalidText(f"text {number}: {slot.error.message}")
        return self.parcel(parcel, where)

    def pack(self, texts: Any) -> Chunk:
        """Check a list of texts; those that cannot be worked on are set aside one by one.

        Raises:
            InvalidText: it is no list, empty, or too long.
        """
        fault = texts_fault(texts)
        if fault is not None:
            raise InvalidText(fault)
        parcel = Chunk()
        for text in texts:
            parcel.add(text, self.settings.max_text_chars)
        return parcel

    def parcel(self, parcel: Chunk, where: Destination) -> Request[list[Document]]:
        """Make a request of the valid texts of a parcel, of which there is at least one."""
        expected = len(parcel.texts)
        return Request(EXTRACT_MANY, parcel.texts, where, lambda meta: outcomes.documents(meta, expected))

    def send(self, request: Request[T], expires: float | None = None) -> Job[T]:
        """Put a request into the queue.

        Args:
            request: What has been checked.
            expires: Seconds after which a worker need not begin with it.

        Raises:
            BrokerUnreachable: Redis did not take it.
            QueueFull: the queue has no room.
        """
        task_id = self.link.send(request.task, request.argument, request.where, expires=expires)
        return Job(self.link, task_id, request.read)

    def post(self, request: Request[T], expires: float | None, tell: Tell) -> tuple[Job[T], PendingMessage]:
        """Have a thread do what `send` does, and tell what became of it; see `Link.post`."""
        task_id, ticket = self.link.post(request.task, request.argument, request.where, expires=expires, tell=tell)
        return Job(self.link, task_id, request.read), ticket

    def job(self, task_id: str, *, many: bool) -> Job[Any]:
        """Return the job of a request sent earlier."""
        return Job(self.link, task_id, outcomes.documents if many else outcomes.entities, sent=False)

    def revoke_quietly(self, jobs: Iterable[Job[Any] | None]) -> None:
        """Tell the workers that nobody waits any more. It only saves work, so it may fail."""
        ids = [job.id for job in jobs if job is not None and not job.arrived()]
        if ids:
            with contextlib.suppress(HannerError):
                self.link.revoke(*ids)

    def bounds(self, window: int) -> ChunkLimits:
        """Return what limits a stream with this window."""
        return ChunkLimits(window, self.settings.max_text_chars)

    def lifetime(self, timeout: Timeout) -> float | None:
        """Return after how many seconds a request is of no use, when its only caller waits so long."""
        limit = seconds(timeout, self.link)
        return None if limit is None else limit + GRACE


def answers(parcel: Chunk, job: Job[list[Document]] | None) -> list[Document]:
    """Return the documents of a parcel whose job is done; a request that failed as a whole gives each text its error.

    Raises:
        HannerError: the answer makes no sense, so what comes after it would make none either.
    """
    if job is None:
        return parcel.fill([])
    try:
        return parcel.fill(job.result())
    except HannerError as error:
        if error.code is None:
            raise
        return parcel.fail(error)


def resolve(broker_url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> Settings:
    """Return the settings of a client: given ones or the environment's, with overrides on top."""
    if broker_url is not None:
        overrides = {"broker_url": broker_url} | overrides
    if settings is None:
        return Settings.from_env(**overrides)
    return Settings.from_env({}, **(settings.model_dump() | overrides)) if overrides else settings
