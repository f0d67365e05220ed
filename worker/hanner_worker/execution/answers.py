"""From requests to results: validate the requests, run the model on all their texts at once, build the results.

Each distinct text is inferred once. Logs; sends nothing to Redis but through the cache it is given.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from traceback import format_tb
from typing import TYPE_CHECKING, Any, NamedTuple

from hanner.contract import EXTRACT, Entity
from hanner.errors import HannerError, InvalidText, ModelFailed
from hanner_worker.execution.cache import EntityCache
from hanner_worker.payload import TaskPayload

if TYPE_CHECKING:  # numpy, which only a worker has
    from hanner_inference.pipeline import Recogniser

logger = logging.getLogger(__name__)

Finding = list[Entity] | HannerError
"""What was found in one text: its entities, or its error."""
Validated = list[tuple[Any, InvalidText | None]] | InvalidText
"""A request's texts with their errors, or the error of the whole request."""


class Answer(NamedTuple):
    """The result of one request.

    Attributes:
        result: the document to store, or the error with which the request failed.
        summary: the same for events and logs, without the text.
    """

    result: dict[str, Any] | BaseException
    summary: str


@dataclass(frozen=True, slots=True)
class BatchInference:
    """Answers requests with one model.

    Attributes:
        recogniser: the open model.
        model: NAME@DIGEST8, as results carry it.
        max_chars: most code points in a text.
        log_text: texts and entities may be logged.
        fatal_errors: errors of the recogniser that are not about a text, and are raised.
        cache: entities of texts that were inferred before, if there is a cache.
    """

    recogniser: "Recogniser"
    model: str
    max_chars: int
    log_text: bool = False
    fatal_errors: tuple[type[Exception], ...] = ()
    cache: EntityCache | None = None

    def answer(self, payloads: Sequence[TaskPayload]) -> tuple[list[Answer], dict[str, float]]:
        """Return the answers to all requests, in order, and statistics.

        These are the sums of the model's RunStats; `repeated`, the texts that equal another one of the batch; `cached`,
        the distinct texts found in the cache; and `failed`, if there are any, the texts of valid requests that have an
        error. An invalid request fails alone. If the model fails on all texts together, each half is tried, and so on
        down to the text that it fails on.
        """
        requests = [self._validate(payload) for payload in payloads]
        valid = [request for request in requests if not isinstance(request, InvalidText)]
        stats: Counter[str] = Counter()
        found = self._find([text for request in valid for text, error in request if error is None], stats)
        answers = []
        for payload, request in zip(payloads, requests, strict=True):
            if isinstance(request, InvalidText):
                answers.append(_failure(request))
                continue
            findings = [found[text] if error is None else error for text, error in request]
            if failed := sum(isinstance(finding, HannerError) for finding in findings):
                stats["failed"] += failed
            answers.append(self._make_answer(payload.task, [text for text, _ in request], findings))
        return answers, dict(stats)

    def _validate(self, payload: TaskPayload) -> Validated:
        try:
            return payload.validate(self.max_chars)
        except InvalidText as error:
            return error

    def _find(self, texts: list[str], stats: Counter[str]) -> Mapping[str, Finding]:
        """Return what is found in each text, by text; a text that is cached or occurs twice is not inferred again."""
        distinct = list(dict.fromkeys(texts))
        cached = {} if self.cache is None else dict(self.cache.get(distinct))
        new = [text for text in distinct if text not in cached]
        found = dict(zip(new, self._infer(new, stats), strict=True))
        if self.cache is not None:
            self.cache.put({text: entities for text, entities in found.items() if isinstance(entities, list)})
        stats.update(repeated=len(texts) - len(distinct), cached=len(cached))
        return cached | found

    def _infer(self, texts: list[str], stats: Counter[str]) -> Sequence[Finding]:
        if not texts:
            return []
        try:
            entities, run_stats = self.recogniser.run(texts)
            if len(entities) != len(texts):
                raise ModelFailed(f"{len(texts)} texts went in and {len(entities)} came out")  # noqa: TRY301
        except self.fatal_errors:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other texts are to be answered
            self._log_failure(error, len(texts))
            if len(texts) == 1:
                return [ModelFailed()]
            half = len(texts) // 2
            return [*self._infer(texts[:half], stats), *self._infer(texts[half:], stats)]
        if is_dataclass(run_stats) and not isinstance(run_stats, type):
            stats.update(asdict(run_stats))
        return entities

    def _log_failure(self, error: Exception, texts: int) -> None:
        # An exception's message may quote the text, so only its type and traceback are logged.
        message = f": {error}" if self.log_text else ""
        traceback = "".join(format_tb(error.__traceback__))
        logger.error("the model failed on %d texts with %s%s\n%s", texts, type(error).__name__, message, traceback)

    def _make_answer(self, task: str, texts: list[Any], findings: list[Finding]) -> Answer:
        if task != EXTRACT:
            result: dict[str, Any] = {"documents": [_document(finding) for finding in findings], "model": self.model}
        elif isinstance(findings[0], HannerError):
            return _failure(findings[0])
        else:
            result = _document(findings[0]) | {"model": self.model}
        return Answer(result, repr(result) if self.log_text else _summary(texts, findings))


def _failure(error: HannerError) -> Answer:
    return Answer(error.with_traceback(None), repr(error))


def _summary(texts: list[Any], findings: list[Finding]) -> str:
    """Return how much was found, without the text."""
    entities = sum(len(finding) for finding in findings if isinstance(finding, list))
    characters = sum(len(text) for text in texts if isinstance(text, str))
    return f"{entities} entities, {characters} characters"


def _document(finding: Finding) -> dict[str, Any]:
    if isinstance(finding, HannerError):
        return {"error": {"code": str(finding.code), "message": str(finding)}}
    return {"entities": [entity.model_dump() for entity in finding]}
