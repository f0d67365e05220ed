"""From requests to results: check the arguments, run the model on all good texts at once, give each its own end.

Texts that are the same are inferred once. Logs, and touches nothing else: no queue, no Redis, no Celery.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from traceback import format_tb
from typing import Any, NamedTuple, Protocol

from hanner.contract import EXTRACT, Entity, redact_args, text_error, texts_error
from hanner.errors import HannerError, InvalidText, ModelFailed

logger = logging.getLogger(__name__)


class Recogniser(Protocol):
    """What this module needs of `hanner_worker.load()`."""

    def run(self, texts: list[str]) -> tuple[list[list[Entity]], Any]:
        """Return the entities of every text, in order, and figures about the run."""
        ...


class Memory(Protocol):
    """What this module needs of a cache of entities by text; see hanner_worker/execution/cache.py."""

    def recall(self, texts: Sequence[str]) -> Mapping[str, list[Entity]]:
        """Return the entities of those texts that are known."""
        ...

    def learn(self, found: Mapping[str, list[Entity]]) -> None:
        """Remember what the model found."""
        ...


class TaskPayload(NamedTuple):
    """One request on its way to a pool process.

    Attributes:
        id: the request's id.
        task: the task's name.
        args: positional arguments as they came, unchecked.
        kwargs: named ones.
        group: id of its group, for the result.
        parent: id of its parent, for the result.
        silent: its result is not wanted.
        canvas: Celery's whole request if something follows from its result (link, chain, chord), else None.
        tag: the message it came in, as the ledger knows it.
        deaths: processes that died under it so far.
    """

    id: str
    task: str
    args: Any
    kwargs: Any
    group: str | None = None
    parent: str | None = None
    silent: bool = False
    canvas: dict[str, Any] | None = None
    tag: str = ""
    deaths: int = 0

    def __repr__(self) -> str:
        return f"<{self.task}[{self.id}]{redact_args(self.args)}>"


class Answer(NamedTuple):
    """The end of one request.

    Attributes:
        result: the document to store, or the error it fails with.
        summary: the same for events and logs, without a word of the text.
    """

    result: dict[str, Any] | BaseException
    summary: str


@dataclass(frozen=True, slots=True)
class BatchInference:
    """Answers requests with one model.

    Attributes:
        recogniser: the open model.
        model: NAME@DIGEST8, as results carry it.
        max_chars: longest text taken, in code points.
        log_text: texts and entities may be logged.
        fatal: errors of the recogniser that are no fault of a text and pass through.
        memory: entities of texts seen before, if they are kept.
    """

    recogniser: Recogniser
    model: str
    max_chars: int
    log_text: bool = False
    fatal: tuple[type[Exception], ...] = ()
    memory: Memory | None = None

    def answer(self, works: Sequence[TaskPayload]) -> tuple[list[Answer], dict[str, float]]:
        """Return the answers to all requests, in order, and figures: those of the model's runs, summed, and a few more.

        `repeated` counts texts that another text of the batch is the same as, `cached` those answered from memory
        besides, and `failed`, where there are any, those of sound requests that have no entities but an error. A bad
        request fails alone. If the model fails on all texts together, halves of them are tried, and halves of those,
        down to the text that it fails on.
        """
        requests: list[_Request | InvalidText] = []
        for work in works:
            try:
                requests.append(_Request.checked(work, self.max_chars))
            except InvalidText as error:
                requests.append(error)
        places = [
            (request, n)
            for request in requests
            if isinstance(request, _Request)
            for n, found in enumerate(request.findings)
            if found is None
        ]
        figures: Counter[str] = Counter()
        findings = self._find([request.texts[n] for request, n in places], figures)
        for request, n in places:
            request.findings[n] = findings[request.texts[n]]
        if failed := sum(request.failed for request in requests if isinstance(request, _Request)):
            figures["failed"] = failed
        return [self._close(request) for request in requests], dict(figures)

    def _find(self, texts: list[str], figures: Counter[str]) -> Mapping[str, list[Entity] | HannerError]:
        """Return the finding of every text, by text; what is known or twice there is not inferred again."""
        distinct = list(dict.fromkeys(texts))
        known = {} if self.memory is None else dict(self.memory.recall(distinct))
        new = [text for text in distinct if text not in known]
        found = dict(zip(new, self._recognise(new, figures), strict=True))
        if self.memory is not None:
            self.memory.learn({text: entities for text, entities in found.items() if isinstance(entities, list)})
        figures.update(repeated=len(texts) - len(distinct), cached=len(known))
        return known | found

    def _recognise(self, texts: list[str], figures: Counter[str]) -> Sequence[list[Entity] | HannerError]:
        if not texts:
            return []
        try:
            entities, stats = self.recogniser.run(texts)
            if len(entities) != len(texts):
                raise ModelFailed(f"{len(texts)} texts went in and {len(entities)} came out")  # noqa: TRY301
        except self.fatal:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other texts are to be answered
            self._log_failure(error, len(texts))
            if len(texts) == 1:
                return [ModelFailed()]
            half = len(texts) // 2
            return [*self._recognise(texts[:half], figures), *self._recognise(texts[half:], figures)]
        if is_dataclass(stats) and not isinstance(stats, type):
            figures.update(asdict(stats))
        return entities

    def _log_failure(self, error: Exception, texts: int) -> None:
        # An exception's message may quote the text, so only its type and where it came from are logged.
        said = f": {error}" if self.log_text else ""
        where = "".join(format_tb(error.__traceback__))
        logger.error("the model failed on %d texts with %s%s\n%s", texts, type(error).__name__, said, where)

    def _close(self, request: "_Request | InvalidText") -> Answer:
        try:
            if isinstance(request, InvalidText):
                raise request
            result = request.result(self.model)
        except HannerError as error:
            return Answer(error.with_traceback(None), repr(error))
        return Answer(result, repr(result) if self.log_text else request.summary())


def argument(task: str, args: Any, kwargs: Any) -> Any:
    """Return the one argument of a request, given by position or by name.

    Raises:
        InvalidText: it has another number of arguments or another name.
    """
    name = "text" if task == EXTRACT else "texts"
    if isinstance(args, list | tuple) and len(args) == 1 and not kwargs:
        return args[0]
    if not args and isinstance(kwargs, Mapping) and list(kwargs) == [name]:
        return kwargs[name]
    given = len(args) if isinstance(args, list | tuple) else 0
    named = len(kwargs) if isinstance(kwargs, Mapping) else 0
    raise InvalidText(f"{task} takes one argument, {name}; it was sent {given} by position and {named} by name")


def texts_of(task: str, args: Any, kwargs: Any) -> list[Any]:
    """Return the texts of a request, unchecked; none if its arguments are wrong. For estimates."""
    try:
        given = argument(task, args, kwargs)
    except InvalidText:
        return []
    if task == EXTRACT:
        return [given]
    return list(given) if texts_error(given) is None else []


@dataclass(slots=True)
class _Request:
    """A request that can be worked on; one finding per text: its entities, its error, or None so far."""

    task: str
    texts: list[Any]
    findings: list[list[Entity] | HannerError | None]

    @classmethod
    def checked(cls, work: TaskPayload, max_chars: int) -> "_Request":
        """Check a request; a bad text gets its error now.

        Raises:
            InvalidText: the request as a whole cannot be worked on.
        """
        given = argument(work.task, work.args, work.kwargs)
        if work.task != EXTRACT and (fault := texts_error(given)) is not None:
            raise InvalidText(fault)
        texts = [given] if work.task == EXTRACT else list(given)
        faults = [text_error(text, max_chars) for text in texts]
        return cls(work.task, texts, [None if fault is None else InvalidText(fault) for fault in faults])

    @property
    def failed(self) -> int:
        """Texts that have an error."""
        return sum(isinstance(finding, HannerError) for finding in self.findings)

    def result(self, model: str) -> dict[str, Any]:
        """Return the document that is stored.

        Raises:
            HannerError: the only text has no entities but an error.
        """
        if self.task != EXTRACT:
            return {"documents": [_document(finding) for finding in self.findings], "model": model}
        if isinstance(self.findings[0], HannerError):
            raise self.findings[0]
        return _document(self.findings[0]) | {"model": model}

    def summary(self) -> str:
        """Say how much was found, without a word of it."""
        entities = sum(len(finding) for finding in self.findings if isinstance(finding, list))
        characters = sum(len(text) for text in self.texts if isinstance(text, str))
        return f"{entities} entities, {characters} characters"


def _document(finding: list[Entity] | HannerError | None) -> dict[str, Any]:
    if isinstance(finding, HannerError):
        return {"error": {"code": str(finding.code), "message": str(finding)}}
    return {"entities": [entity.model_dump() for entity in finding or []]}
