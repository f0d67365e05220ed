"""A listener for the events that workers send, one per batch. Runs a thread with a connection of its own."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hanner.contract import BATCH_EVENT
from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner.settings import Settings

STOP_TIMEOUT = 5.0


@dataclass(frozen=True)
class BatchEvent:
    """One batch as its worker reports it.

    Attributes:
        batch: The batch's number in its worker.
        texts: Number of texts.
        windows: Number of windows of text; more than texts if some texts are long.
        tokens: Tokens without padding.
        padded_tokens: Tokens with padding: longest window x count, summed over the model's runs.
        waited_ms: Time that the oldest text waited in the worker.
        tokenise_ms: Time in the tokeniser.
        infer_ms: Time in the model.
        decode_ms: Time in the decoder.
        total_ms: Total time, measured by the worker.
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
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Return the batch of an event; fields that an older or newer worker does not send are zero."""
        return cls(**{field.name: event[field.name] for field in fields(cls) if event.get(field.name) is not None})

    @property
    def engine_ms(self) -> float:
        """Time in tokeniser, model and decoder."""
        return self.tokenise_ms + self.infer_ms + self.decode_ms


def padding_share(batches: Iterable[BatchEvent]) -> float:
    """Return the share of padding in all tokens, 0 to 1."""
    tokens = padded = 0
    for batch in batches:
        tokens += batch.tokens
        padded += batch.padded_tokens
    return 1 - tokens / padded if padded else 0.0


class BatchEventListener:
    """Collects the batch events of all workers in a thread while its context lasts."""

    def __init__(self, settings: "Settings") -> None:
        from hanner.transport.celery_app import make_celery

        self._app = make_celery(settings)
        self._changed = threading.Condition()
        self._batches: list[BatchEvent] = []
        self._received_any = False
        self._receiver: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._listen, name="hanner-batches", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._receiver is not None:
            self._receiver.should_stop = True
        self._thread.join(timeout=STOP_TIMEOUT)
        self._app.close()

    def wait_until_subscribed(self, timeout: float) -> None:
        """Return after the first event of any type: from then on none is missed. Workers send a heartbeat every 2 s.

        Raises:
            HannerError: no event arrived in time.
        """
        with self._changed:
            received = self._changed.wait_for(lambda: self._received_any or self._error, timeout)
            if not received or self._error:
                reason = self._error or "start the worker with -E"
                raise HannerError(f"no worker events received: {reason}")

    def take(self, texts: int, timeout: float) -> list[BatchEvent]:
        """Return the batches since the last call, once they contain so many texts or the timeout has passed."""
        with self._changed:
            self._changed.wait_for(lambda: sum(batch.texts for batch in self._batches) >= texts, timeout)
            taken, self._batches = self._batches, []
        return taken

    def _listen(self) -> None:
        try:
            with self._app.connection_for_read() as connection:
                handlers = {BATCH_EVENT: self._on_batch, "*": self._on_event}
                self._receiver = self._app.events.Receiver(connection, handlers=handlers)
                self._receiver.capture(limit=None, timeout=None, wakeup=True)
        except Exception as error:  # noqa: BLE001 - raised in the waiting thread
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _on_batch(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._received_any = True
            self._batches.append(BatchEvent.from_event(event))
            self._changed.notify_all()

    def _on_event(self, _: dict[str, Any]) -> None:
        with self._changed:
            self._received_any = True
            self._changed.notify_all()
