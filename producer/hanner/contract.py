"""What both sides say: task names, limits, request checks, results, error codes.

Client and worker import this one file, so that they cannot disagree. It imports pydantic and nothing else of weight.
"""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

EXTRACT = "hanner.extract"
EXTRACT_MANY = "hanner.extract_many"
DEFAULT_QUEUE = "hanner"
HEADER = "hanner"
"""Header of a message in which hanner's clients say when it was sent (`sent_at`, unix seconds) and how many `texts` it
has. Others need not."""
REQUEST_ID = "request_id"
"""Header of a message that a worker's log names it by; the gateway puts the id of the HTTP request there."""
EXAMPLE_TEXT = "马云在杭州阿里巴巴总部发表演讲"
"""The text of examples, warm-up runs, probes and readiness checks."""
BATCH_EVENT = "hanner-batch"
"""Type of the event that a worker sends for each finished batch. Fields: batch, requests, texts, repeated, cached,
windows, tokens, padded_tokens (counts); waited_ms of the oldest request, tokenise_ms, infer_ms, decode_ms, total_ms
until all results were stored; model."""
MAX_TEXTS = 256
"""Texts in one `hanner.extract_many`."""
DEFAULT_MAX_TEXT_CHARS = 100_000
"""Code points in one text, unless HANNER_MAX_TEXT_CHARS says otherwise."""


class ErrorCode(StrEnum):
    """The closed set of reasons for which a request has no entities."""

    INVALID_TEXT = "invalid_text"
    UNKNOWN_MODEL = "unknown_model"
    QUEUE_FULL = "queue_full"
    TIMED_OUT = "timed_out"
    BROKER_UNREACHABLE = "broker_unreachable"
    MODEL_FAILED = "model_failed"
    WORKER_LOST = "worker_lost"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Entity(BaseModel):
    """One named entity.

    `start` and `end` count code points of the text as sent, end exclusive: `text == source[start:end]`.
    `score` is the posterior probability of the span under the model's CRF.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str
    type: str
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    score: Annotated[float, Field(ge=0, le=1)]


class Failure(BaseModel):
    """Why one text has no entities: a code of ErrorCode and a sentence that says what to do."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    message: str


class Document(BaseModel):
    """What became of one text: its entities, sorted and never overlapping, or its error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    entities: tuple[Entity, ...] = ()
    error: Failure | None = None
    _text: str | None = PrivateAttr(None)

    @property
    def text(self) -> str | None:
        """The text as sent, where it is known: the client knows it, the wire does not carry it back."""
        return self._text

    def of(self, text: str) -> Self:
        """Return this document with its text; two documents are equal whether they know their text or not."""
        known = self.model_copy()
        known._text = text  # noqa: SLF001 - a copy of our own
        return known

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        return (self.entities, self.error) == (other.entities, other.error)

    def __hash__(self) -> int:
        return hash((self.entities, self.error))

    def _repr_html_(self) -> str:
        """Show the text with its entities highlighted, in Jupyter and its like."""
        from hanner.html import notebook  # noqa: PLC0415 - for notebooks alone

        return notebook(self, self._text)


class ExtractResult(BaseModel):
    """Result of `hanner.extract`; `model` is NAME@DIGEST8."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    entities: tuple[Entity, ...]
    model: str


class ExtractManyResult(BaseModel):
    """Result of `hanner.extract_many`: one document per text, in order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    documents: tuple[Document, ...]
    model: str


def text_fault(text: Any, max_chars: int) -> str | None:
    """Return the sentence that says why `text` cannot be worked on, or None when it can.

    A blank text is valid: it has no entities. `max_chars` counts code points.
    """
    if not isinstance(text, str):
        return f"a text must be a string, not {type(text).__name__}; decode bytes as UTF-8 first"
    if len(text) > max_chars:
        return (
            f"the text has {len(text):,} characters and the limit is {max_chars:,}; "
            "split it, or raise HANNER_MAX_TEXT_CHARS on both the client and the worker"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"the text has a lone surrogate at character {error.start}, which is no valid Unicode; "
            "decode its bytes with errors='replace', or remove it"
        )
    return None


def texts_fault(texts: Any) -> str | None:
    """Return the sentence that says why `texts` is no valid argument of `hanner.extract_many`, or None.

    The texts themselves are checked one by one with `text_fault`: a bad one fails alone.
    """
    if not isinstance(texts, list | tuple):
        return f"texts must be a list of strings, not {type(texts).__name__}"
    if not texts:
        return "texts is empty; send at least one text"
    if len(texts) > MAX_TEXTS:
        return (
            f"{len(texts):,} texts in one request and the limit is {MAX_TEXTS}; send several requests, or use stream()"
        )
    return None


def redact_args(args: Any) -> str:
    """Describe a task's arguments for logs and events without a word of their text: `(<14 characters>)`."""
    first = args[0] if isinstance(args, list | tuple) and args else None
    if isinstance(first, str):
        return f"(<{len(first)} characters>)"
    if isinstance(first, list | tuple):
        return f"(<{len(first)} texts, {sum(len(t) for t in first if isinstance(t, str))} characters>)"
    return f"(<{type(first).__name__}>)"
