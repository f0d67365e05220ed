"""All settings of client, worker and gateway: one frozen object, read from HANNER_* on request, not at import.

HANNER_…_FILE names a file that contains the value, for secrets that are mounted into a container.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

from hanner.address import parse_addresses, split_addresses
from hanner.contract import DEFAULT_BROKER_URL, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_TEXT_CHARS, DEFAULT_QUEUE
from hanner.errors import InvalidSettings
from hanner.queue.keys import queue_name_problem
from hanner.queue.routing import parse_routes
from hanner.utils.stack_file import find_running_stack

PREFIX = "HANNER_"
FILE_SUFFIX = "_FILE"
"""Suffix of a variable that names a file with the value."""

BYTES_PER_CHARACTER = 8
"""Most bytes of one code point in a message: escaped as JSON, in Base64."""
HEADER_BYTES = 1 << 20
"""Bytes for all the rest of a message with one text."""


class Settings(BaseModel):
    """Settings of client, worker and gateway; each field is read from HANNER_ and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    broker_url: str = Field(
        DEFAULT_BROKER_URL,
        repr=False,
        description="URL of the Redis or Valkey with queue and results, or several, separated by commas; if not set, "
        "that of a running `hanner up`",
    )
    queue: str = Field(DEFAULT_QUEUE, min_length=1, description="name of the queue; bulk requests wait in NAME.bulk")
    routes: str = Field(
        "", description="queues of models, `model=queue,model=queue`; the default queue of a model is `hanner.MODEL`"
    )
    timeout: float = Field(30.0, gt=0, description="seconds a client waits for a result")
    connect_timeout: float = Field(5.0, gt=0, description="seconds a client waits for Redis before it raises an error")
    result_ttl: int = Field(3600, ge=1, description="seconds a result is kept")
    max_queue: int = Field(
        100_000, ge=0, description="maximum number of waiting requests of each priority; more are rejected; 0: no limit"
    )
    max_dead_letters: int = Field(
        10_000, ge=0, description="maximum number of dead letters that are kept; the oldest are deleted; 0: no limit"
    )
    dead_letter_ttl: int = Field(
        15_552_000,
        ge=0,
        description="seconds a dead letter, with its text, is kept; 0: no limit",
    )
    max_text_chars: int = Field(DEFAULT_MAX_TEXT_CHARS, ge=1, description="maximum length of a text, in code points")
    max_request_bytes: int = Field(
        DEFAULT_MAX_REQUEST_BYTES,
        ge=1024,
        description="maximum size of a request in the queue, in bytes; a text of HANNER_MAX_TEXT_CHARS always fits",
    )
    log_text: bool = Field(False, description="1: texts and entities appear in logs and events; 0: they are redacted")
    model: str = Field(
        "",
        description="name of a bundled model (see `hanner model list`), or folder of a package; empty: the default",
    )
    engine: str = Field(
        "onnx", min_length=1, description="inference engine: an entry point of `hanner.engines`, or module:attribute"
    )
    dictionary: str = Field(
        "", description="file with terms that override the model, `term TAB type` per line; empty: none"
    )
    cache_ttl: int = Field(0, ge=0, description="seconds the entities of a text are cached; 0: off")
    concurrency: int = Field(0, ge=0, description="pool processes of a worker; 0: one per core")
    lease: float = Field(
        5.0, ge=1, le=60, description="seconds without a heartbeat after which a worker's requests are requeued"
    )
    hang_timeout: float = Field(
        600.0,
        ge=0,
        description="seconds without an answer of any process after which a worker ends itself; more than its longest "
        "batch takes; 0: never",
    )
    batch_texts: int = Field(32, ge=1, le=1024, description="maximum number of text windows in one batch")
    batch_tokens: int = Field(2048, ge=1, description="maximum number of tokens in one batch")
    batch_ms: float = Field(
        50.0,
        ge=0,
        description="milliseconds that a batch of interactive requests takes, unless more wait than all processes "
        "finish in that time",
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys of the gateway, comma-separated: each a key, or `sha256:` and its hex digest",
    )
    rate_limit: str = Field(
        "", description="rate limit of the gateway per key, or per address, such as `100/minute`; empty: no limit"
    )
    wrong_key_limit: str = Field(
        "30/minute",
        description="wrong API keys per address, after which the gateway rejects all its keys; `off`: no limit",
    )
    cors_origins: str = Field(
        "", description="CORS origins that may call the gateway, comma-separated, such as `https://example.org`"
    )
    allowed_hosts: str = Field(
        "",
        description="host names of the gateway, comma-separated, such as `ner.example.org` or `*.example.org`; it "
        "rejects requests to other names; `*`: all; empty: only localhost if it listens on loopback, else all",
    )
    proxies: str = Field(
        "",
        description="addresses or networks of proxies whose X-Forwarded headers the gateway trusts, comma-separated, "
        "such as `127.0.0.1` or `10.0.0.0/8`; `*`: all; empty: none",
    )
    max_body_bytes: int = Field(
        10_000_000, ge=1024, description="maximum size of a request to the gateway, except an uploaded file"
    )
    max_upload_bytes: int = Field(100_000_000, ge=1024, description="maximum size of an uploaded file, with its form")
    max_job_texts: int = Field(200_000, ge=1, description="maximum number of texts in one job of the gateway")
    max_jobs: int = Field(
        100, ge=1, description="maximum number of unfinished jobs of the gateway, and of finished jobs that are kept"
    )
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="address on which a worker serves its metrics; 0.0.0.0: all"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port on which a worker serves /metrics for Prometheus; 0: none"
    )
    flower_password_file: str = Field(
        "",
        description="file with Flower's password, generated if it does not exist; empty: one in `hanner flower --data`",
    )

    @property
    def message_bytes(self) -> int:
        """Return the maximum size of a message: `max_request_bytes`, or what the longest text may need."""
        return max(self.max_request_bytes, BYTES_PER_CHARACTER * self.max_text_chars + HEADER_BYTES)

    def per_address(self) -> list[Self]:
        """Return settings with one address each, for every address in `broker_url`."""
        urls = split_addresses(self.broker_url)
        return [self] if len(urls) == 1 else [self.model_copy(update={"broker_url": url}) for url in urls]

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, url: str) -> str:
        parse_addresses(url)
        return url

    @field_validator("queue")
    @classmethod
    def _check_queue(cls, name: str) -> str:
        if problem := queue_name_problem(name):
            raise ValueError(problem)
        return name

    @field_validator("routes")
    @classmethod
    def _check_routes(cls, text: str) -> str:
        parse_routes(text)
        return text

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: object) -> Self:
        """Return the settings in `environ` (by default the process's environment); `overrides` take precedence.

        An empty variable counts as not set. A variable takes precedence over its file. Without HANNER_BROKER_URL in the
        process's environment, the Redis is that of the `hanner up` that runs on this machine, if one runs.

        Args:
            environ: Environment variables; None for the process's.
            **overrides: Single settings by name, such as `timeout=5`.

        Raises:
            InvalidSettings: a variable, or the file it names, is invalid; the message names it.
        """
        source = os.environ if environ is None else environ
        found = {name: read_variable(name, source) for name in cls.model_fields if name not in overrides}
        values: dict[str, object] = {name: value for name, value in found.items() if value}
        if environ is None and "broker_url" not in values | overrides and (stack := find_running_stack()):
            values["broker_url"] = stack.broker_url
        try:
            return cls.model_validate(values | overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else None
            shown = name if name in overrides else source_of(name, source)
            message = _describe_error(name, shown, first["input"], reason, is_argument=name in overrides)
            raise InvalidSettings(message) from None


REMOVED_SETTINGS = {
    "max_padding": "batches are no longer grouped by length",
    "max_wait_ms": "requests are batched in the order of their arrival; HANNER_BATCH_MS sets the duration of a batch",
}
"""Settings of earlier versions, and why they have no effect any more."""


def removed_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable in `environ` that earlier versions read."""
    return [
        f"{name} has no effect any more: {reason}"
        for removed, reason in REMOVED_SETTINGS.items()
        for name in (variable(removed), variable(removed) + FILE_SUFFIX)
        if environ.get(name)
    ]


_SECRET_SETTINGS = {"api_keys", "broker_url"}
"""Settings whose values are not shown in errors."""
_KINDS: dict[object, str] = {bool: "1 or 0", int: "a whole number", float: "a number"}
_LIMITS = {"ge": "of at least", "gt": "greater than", "le": "of at most", "lt": "less than"}


def _describe_error(name: str, shown: str, value: object, reason: str | None, *, is_argument: bool) -> str:
    """Return a message that names the setting as `shown`, its value, the reason, and what to do."""
    field = Settings.model_fields.get(name)
    if field is None:
        if name in REMOVED_SETTINGS:
            return f"hanner no longer has the setting {name!r}: {REMOVED_SETTINGS[name]}"
        similar = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f"did you mean {similar[0]!r}?" if similar else "docs/reference/settings.md lists all settings"
        return f"hanner has no setting {name!r}; {hint}"
    if name not in _SECRET_SETTINGS:
        shown += f' is "{value}"' if isinstance(value, str) else f" is {value!r}"
        shown += ", but"
    if reason is not None:
        return f"{shown} {reason}"
    if field.annotation is str and isinstance(value, str):
        requirement = "must not be empty"
    else:
        requirement = f"must be {_KINDS.get(field.annotation, 'a string')}{_describe_range(field)}"
    default = "" if name in _SECRET_SETTINGS or field.default == "" else f", {_format_default(field.default)}"
    change = "omit it" if is_argument else "unset it"
    return f"{shown} {requirement}; correct it, or {change} for the default{default}"


def _format_default(value: Any) -> str:
    """Return a default as a variable would contain it: 0 for False, 5 for 5.0."""
    return f"{value:g}" if isinstance(value, bool | float) else str(value)


def _describe_range(field: FieldInfo) -> str:
    """Return a field's range of numbers, such as ` from 1 to 60`; empty if it has none."""
    limits = {name: getattr(item, name) for item in field.metadata for name in _LIMITS if hasattr(item, name)}
    if {"ge", "le"} <= limits.keys():
        return f" from {limits['ge']} to {limits['le']}"
    words = " and ".join(f"{words} {limits[name]}" for name, words in _LIMITS.items() if name in limits)
    return f" {words}" if words else ""


def read_variable(field: str, source: Mapping[str, str]) -> str:
    """Return the value of a field's variable, or the stripped content of its file; empty if neither is set.

    Raises:
        InvalidSettings: the file cannot be read, or is empty.
    """
    name = source_of(field, source)
    value = source.get(name, "")
    if name == variable(field):
        return value
    try:
        content = Path(value).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"{name} cannot be used: {value} cannot be read ({reason})") from None
    if not content:  # a default in place of a secret would open what it protects
        raise InvalidSettings(f"{name} cannot be used: {value} is empty; write the value into it, or unset {name}")
    return content


def source_of(field: str, source: Mapping[str, str]) -> str:
    """Return the variable that sets a field: its own, or the one with the name of a file."""
    name = variable(field)
    return name if source.get(name) or not source.get(name + FILE_SUFFIX) else name + FILE_SUFFIX


def variable(name: str) -> str:
    """Return the environment variable of a field: HANNER_BATCH_TEXTS for `batch_texts`."""
    return PREFIX + name.upper()
