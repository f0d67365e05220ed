"""The contract of client and worker: task names, limits, validation, results and error codes. No I/O.

Client and worker import this module, so that they cannot disagree. Its only heavy dependency is pydantic.
"""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

EXTRACT = "hanner.extract"
EXTRACT_MANY = "hanner.extract_many"
DEFAULT_QUEUE = "hanner"
HEADER = "hanner"
"""Header of a message with the time it was sent (`sent_at`, Unix seconds) and the number of `texts` in it. Optional:
messages of other Celery clients do not have it."""
REQUEST_ID = "request_id"
"""Header of a message with an id for the worker's log; the gateway sets it to the id of the HTTP request."""
BATCH_EVENT = "hanner-batch"
"""Type of the event that a worker sends for each finished batch. Fields: batch, requests, texts, repeated, cached,
windows, tokens, padded_tokens (counts); waited_ms of the oldest request, tokenise_ms, infer_ms, decode_ms, total_ms
until all results were stored; model."""
EXAMPLE_TEXT = "马云在杭州阿里巴巴总部发表演讲"
"""The text of examples, warm-up runs, probes and readiness checks."""
MAX_TEXTS = 256
"""Maximum number of texts in one `hanner.extract_many`."""
DEFAULT_MAX_TEXT_CHARS = 100_000
"""Maximum number of code points in one text, unless HANNER_MAX_TEXT_CHARS is set."""


class ErrorCode(StrEnum):
    """The closed set of reasons why a request has no entities."""

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

    `start` and `end` count code points of the text as sent: `text == source[start:end]`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str = Field(description="The entity as it appears in the text.")
    type: str = Field(description="Type, such as PER, LOC or ORG.")
    start: int = Field(ge=0, description="First code point.")
    end: int = Field(gt=0, description="Code point after the last one.")
    score: float = Field(ge=0, le=1, description="Posterior probability of the span under the model's CRF.")


class Failure(BaseModel):
    """Why a text has no entities: a code of ErrorCode, and a message with the next step."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str = Field(description="A code of ErrorCode, or of a newer worker.")
    message: str = Field(description="What went wrong, and what to do next.")


class Document(BaseModel):
    """The result of one text: its entities, sorted and never overlapping, or its error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    entities: tuple[Entity, ...] = Field(default=(), description="The entities; empty if the text has an error.")
    error: Failure | None = Field(default=None, description="Why the text has no entities.")
    _text: str | None = PrivateAttr(None)

    @property
    def text(self) -> str | None:
        """Return the text as sent. The client adds it, because results do not contain it; None if it was not added."""
        return self._text

    def with_text(self, text: str) -> Self:
        """Return a copy with its text. Equality ignores the text.

        Args:
            text: The text.
        """
        document = self.model_copy()
        document._text = text  # noqa: SLF001 - a copy of this class
        return document

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        return (self.entities, self.error) == (other.entities, other.error)

    def __hash__(self) -> int:
        return hash((self.entities, self.error))

    def _repr_html_(self) -> str:
        """Return the text with its entities highlighted, for Jupyter and other notebooks."""
        from hanner.html import notebook_html  # noqa: PLC0415 - for notebooks alone

        error = None if self.error is None else (self.error.code, self.error.message)
        return notebook_html(self._text, self.entities, error)


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


def error_document(code: str, message: str) -> Document:
    """Return the document of a text that has an error in place of entities."""
    return Document(error=Failure(code=str(code), message=message))


def text_error(text: Any, max_chars: int) -> str | None:
    """Return an error message if `text` is invalid, or None if it is valid.

    A blank text is valid and has no entities. `max_chars` counts code points.
    """
    if not isinstance(text, str):
        return f"a text must be a string, not {type(text).__name__}; decode bytes as UTF-8 first"
    if len(text) > max_chars:
        return (
            f"the text has {len(text):,} characters and the limit is {max_chars:,}; "
            "split it, or raise HANNER_MAX_TEXT_CHARS on both the client and the worker, and restart the worker"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"the text has a lone surrogate at character {error.start}, which is not valid Unicode; "
            "decode its bytes with errors='replace', or remove it"
        )
    return None


def texts_error(texts: Any) -> str | None:
    """Return an error message if `texts` is not a valid argument of `hanner.extract_many`, or None if it is.

    Each text is checked with `text_error`: an invalid text fails alone.
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
    """Return a description of a task's arguments for logs and events that contains no text: `(<14 characters>)`."""
    first = args[0] if isinstance(args, list | tuple) and args else None
    if isinstance(first, str):
        return f"(<{len(first)} characters>)"
    if isinstance(first, list | tuple):
        return f"(<{len(first)} texts, {sum(len(t) for t in first if isinstance(t, str))} characters>)"
    return f"(<{type(first).__name__}>)"
