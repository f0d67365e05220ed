"""The contract of client and worker: task names, limits, validation and error codes. No I/O, no dependency.

Client and worker import this module and hanner.results, so that they cannot disagree.
"""

from enum import StrEnum
from typing import Any

EXTRACT = "hanner.extract"
EXTRACT_MANY = "hanner.extract_many"
DEFAULT_BROKER_URL = "redis://localhost:6379/0"
"""The Redis that clients use if HANNER_BROKER_URL is not set."""
DEFAULT_GATEWAY_PORT = 8080
"""The port that the HTTP gateway listens on if no other is named."""
DEFAULT_QUEUE = "hanner"
HEADER = "hanner"
"""Header of a message with the time it was sent (`sent_at`, Unix seconds), the number of `texts` in it,
and the id of the channel that the result is also published on (`replies`). Optional: messages of other Celery clients
do not have it."""
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

DEFAULT_MAX_REQUEST_BYTES = 32 << 20
"""Maximum size of a request's message in the queue, unless HANNER_MAX_REQUEST_BYTES is set."""


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


def text_error(text: Any, max_chars: int) -> str | None:
    """Return an error message if `text` is invalid, or None if it is valid.

    A blank text is valid and has no entities. `max_chars` counts code points.
    """
    if not isinstance(text, str):
        is_bytes = isinstance(text, bytes | bytearray)
        advice = "decode bytes as UTF-8 first" if is_bytes else "convert it with str(), or omit it"
        return f"a text must be a string, not {type(text).__name__}; {advice}"
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


def size_error(size: int, max_bytes: int, *, at_least: bool = False) -> str:
    """Return an error message for a request whose message has `size` bytes, or at least as many."""
    return (
        f"the request has {'at least ' if at_least else ''}{size:,} bytes and the limit is {max_bytes:,}; "
        "send fewer texts in one request, or raise HANNER_MAX_REQUEST_BYTES on both the client and the worker, "
        "and restart the worker"
    )


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
