"""The end of requests: results, what follows them, and acknowledgements, tried again while Redis refuses or is away.

A request is acknowledged only when all that follows it is in Redis. Next steps are queued in the same step in which the
result is stored. Parts of chords are counted after that, because a chord may read the stored results of its parts. If
the process dies in between, the request is delivered again, its result is found, and its parts are counted then.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery

from hanner.errors import HannerError
from hanner.utils.backoff import Backoff
from hanner_worker.delivery.chords import TRANSIENT, return_part
from hanner_worker.delivery.followers import (
    Followers,
    followers_of_failure,
    followers_of_stored,
    followers_of_success,
)
from hanner_worker.delivery.inflight import Completion, InFlightStore, Outcome

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE, GIVE_UP_AFTER = 0.05, 2.0, 11.0
"""Seconds: the first pause between tries, the longest one, and all of them. Redis takes less time to restart."""


_NOTHING = Followers()
"""What follows most requests. It is shared, and never changed."""


@dataclass(slots=True)
class _Ending:
    """How far one request has been completed.

    Attributes:
        completion: how it ended.
        followers: what follows it; None while that is not known.
        stored: its outcome, once its result and its next steps are in Redis and only its parts of chords are left.
        outcome: its final outcome; None while something is left to do.
    """

    completion: Completion
    followers: Followers | None = None
    stored: Outcome | None = None
    outcome: Outcome | None = None

    def next_call(self) -> Completion | None:
        """Return what Redis has to do next for it; None if it has ended, or its parts of chords come first."""
        completion, followers = self.completion, self.followers
        if self.outcome is not None or followers is None:
            return None
        if followers is _NOTHING:
            return completion
        if self.stored is not None:  # only the acknowledgement is left
            return None if followers.parts else Completion(completion.request, self.stored, store_result=False)
        if followers.parts and not completion.store_result:
            return None
        return completion._replace(
            messages=followers.messages,
            results=followers.results,
            children=followers.children,
            acknowledge=not followers.parts,
        )

    def on_reply(self, call: Completion, reply: Outcome) -> None:
        """Record what Redis did."""
        if reply is Outcome.FENCED or call.acknowledge:
            self.outcome = reply
        elif reply is Outcome.ALREADY_ANSWERED and self.completion.outcome is not reply:
            # Its parts of chords must be counted with the result that is stored.
            self.completion = Completion(self.completion.request, reply, store_result=False)
            self.followers = None
        else:
            self.stored = reply


class Completer:
    """Completes requests of one worker.

    Args:
        app: the worker's app.
        inflight: the worker's in-flight messages.
        sleep: waits between tries; None to try once, for callers that must not block.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        app: Celery,
        inflight: InFlightStore,
        sleep: Callable[[float], None] | None = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._inflight = inflight
        self._sleep = sleep
        self._clock = clock

    def complete(self, completions: Sequence[Completion]) -> list[Outcome]:
        """Store results, send what follows them, and acknowledge; try again with backoff if Redis refuses.

        Returns:
            For each request its outcome, FAILED if its next step is invalid. NOT_STORED if Redis refused or was
            unreachable for too long: then its message is still in flight, and must not be acknowledged.
        """
        endings = [_Ending(completion) for completion in completions]
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, limit=GIVE_UP_AFTER)
        done = self._app.now().isoformat()
        while endings:
            reason = self._try(endings, done)
            left = sum(ending.outcome is None for ending in endings)
            if not left:
                break
            pause = None if self._sleep is None else backoff.next_pause(self._clock())
            if self._sleep is None or pause is None:
                logger.error("%d requests could not be completed: %s", left, reason)
                break
            logger.warning("%d requests are not complete (%s); retrying in %.2g s", left, reason, pause)
            self._sleep(pause)
        return [ending.outcome or Outcome.NOT_STORED for ending in endings]

    def _try(self, endings: Sequence[_Ending], done: str) -> str:
        """Complete requests as far as Redis allows; return why some are left."""
        reasons = [self._prepare(ending) for ending in endings if ending.followers is None and ending.outcome is None]
        reasons.append(self._call(endings, done))
        with_parts = [ending for ending in endings if ending.outcome is None and ending.next_call() is None]
        if with_parts:
            reasons += [self._return_parts(ending) for ending in with_parts]
            reasons.append(self._call(with_parts, done))
        return ", ".join(dict.fromkeys(filter(None, reasons)))

    def _call(self, endings: Sequence[_Ending], done: str) -> str:
        """Store, queue and acknowledge all that can be; return the error of Redis, or nothing."""
        calls = [(ending, call) for ending in endings if (call := ending.next_call()) is not None]
        if not calls:
            return ""
        try:
            replies = self._inflight.complete(self._app.backend, [call for _, call in calls], done)
        except TRANSIENT as error:
            return type(error).__name__
        for (ending, call), reply in zip(calls, replies, strict=True):
            ending.on_reply(call, reply)
        return ""

    def _return_parts(self, ending: _Ending) -> str:
        """Count the parts of chords that a request is; return why some are left, or nothing."""
        parts = [] if ending.followers is None else ending.followers.parts
        try:
            while parts:
                if not return_part(self._app, parts[0]):
                    return "another process has claimed a chord"
                del parts[0]
        except TRANSIENT as error:
            return type(error).__name__
        return ""

    def _prepare(self, ending: _Ending) -> str:
        """Set what follows a request; return the error of Redis, or nothing."""
        completion = ending.completion
        try:
            if completion.request.canvas is None:
                ending.followers = _NOTHING
            elif completion.outcome is Outcome.ALREADY_ANSWERED:
                self._prepare_stored(ending)
            else:
                self._prepare_new(ending)
        except TRANSIENT as error:
            return type(error).__name__
        return ""

    def _prepare_stored(self, ending: _Ending) -> None:
        backend, request = self._app.backend, ending.completion.request
        document = backend.client.get(backend.get_key_for_task(request.id))
        if document is None:  # it has expired, or the caller forgot it: the request is processed again
            ending.outcome = Outcome.NOT_STORED
        else:
            ending.followers = followers_of_stored(self._app, request, backend.decode_result(document))

    def _prepare_new(self, ending: _Ending) -> None:
        completion = ending.completion
        if completion.outcome is Outcome.OK:
            try:
                ending.followers = followers_of_success(self._app, completion.request, completion.result)
            except (SoftTimeLimitExceeded, *TRANSIENT):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a client sends as its next step
                reason = f"the next step cannot be sent ({type(error).__name__}); check the link, chain and chord"
                completion = completion._replace(outcome=Outcome.FAILED, result=HannerError(reason))
                ending.completion = completion
            else:
                return
        try:
            ending.followers = followers_of_failure(self._app, completion.request, completion.result)
        except (SoftTimeLimitExceeded, *TRANSIENT):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a client sends as its errback
            logger.warning("an errback cannot be sent: %s", type(error).__name__)
            ending.followers = Followers()
