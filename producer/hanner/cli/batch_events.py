"""Learning how texts were batched: a listener for the `hanner-batch` events that workers send, one per batch."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Self

from hanner.contract import BATCH_EVENT
from hanner.errors import HannerError
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery


@dataclass(frozen=True)
class Batch:
    """One batch as its worker describes it.

    Attributes:
        batch: Its number in its worker.
        texts: Texts in it.
        windows: Windows of text in it; more than texts when some are long.
        tokens: Tokens without padding.
        padded_tokens: Tokens with padding: longest x count, summed over what went through the model.
        waited_ms: How long its oldest text waited in the worker.
        tokenise_ms: Time for tokens.
        infer_ms: Time in the model.
        decode_ms: Time from scores to entities.
        total_ms: All of it, as seen by the worker.
    """

    batch: int = 0
    texts: int = 0
    windows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    waited_ms: float = 0.0
    tokenise_ms: float = 0.0
    infer_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0

    @classmethod
    def of(cls, event: dict[str, Any]) -> Self:
        """Read an event; what an older or newer worker does not say is zero."""
        return cls(**{field.name: event[field.name] for field in fields(cls) if event.get(field.name) is not None})

    @property
    def engine_ms(self) -> float:
        """Time in tokeniser, model and decoder."""
        return self.tokenise_ms + self.infer_ms + self.decode_ms


def padding(batches: Iterable[Batch]) -> float:
    """Return the share of all tokens that was padding, 0 to 1."""
    tokens = padded = 0
    for batch in batches:
        tokens += batch.tokens
        padded += batch.padded_tokens
    return 1 - tokens / padded if padded else 0.0


class BatchListener:
    """Collects the batches of all workers in a thread, while used as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._app = make_celery(settings)
        self._changed = threading.Condition()
        self._batches: list[Batch] = []
        self._ready = False
        self._receiver: Any = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._listen, name="hanner-batches", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._receiver is not None:
            self._receiver.should_stop = True
        self._thread.join(timeout=5.0)
        self._app.close()

    def wait_until_heard(self, timeout: float) -> None:
        """Return when any event has come, so that none that follows is missed; workers send a heartbeat every 2 s.

        Raises:
            HannerError: none came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready or self._failure, timeout) or self._failure:
                raise HannerError(f"no events of a worker can be heard: {self._failure or 'is it started with -E?'}")

    def take(self, texts: int, timeout: float) -> list[Batch]:
        """Return the batches since the last call, once they hold so many texts; what has come when time is over."""
        with self._changed:
            self._changed.wait_for(lambda: sum(batch.texts for batch in self._batches) >= texts, timeout)
            taken, self._batches = self._batches, []
        return taken

    def _listen(self) -> None:
        try:
            with self._app.connection_for_read() as connection:
                self._receiver = self._app.events.Receiver(
                    connection, handlers={BATCH_EVENT: self._note, "*": self._hear}
                )
                self._receiver.capture(limit=None, timeout=None, wakeup=True)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _note(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._ready = True
            self._batches.append(Batch.of(event))
            self._changed.notify_all()

    def _hear(self, _: dict[str, Any]) -> None:
        with self._changed:
            self._ready = True
            self._changed.notify_all()
