"""All settings of client and worker: one frozen object, read from HANNER_* when asked, never at import.

HANNER_…_FILE names a file that holds the value, for secrets that are mounted into a container.

The README's table is made from this file by `python -m hanner.settings`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from hanner.contract import DEFAULT_MAX_TEXT_CHARS, DEFAULT_QUEUE
from hanner.errors import InvalidSettings
from hanner.queue.keys import BULK
from hanner.queue.routing import parse_routes

PREFIX = "HANNER_"
IN_FILE = "_FILE"
"""What the name of a variable ends with that names a file with the value in it."""


class Settings(BaseModel):
    """Settings of client and worker; each field is read from HANNER_ and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker_url: str = Field("redis://localhost:6379/0", description="Redis or Valkey that holds queue and results")
    queue: str = Field(DEFAULT_QUEUE, min_length=1, description="name of the queue; what is bulk waits in NAME.bulk")
    routes: str = Field(
        "", description="queues of models that clients name, `model=queue,model=queue`; of others it is `hanner.MODEL`"
    )
    timeout: float = Field(30.0, gt=0, description="seconds a client waits for a result")
    connect_timeout: float = Field(5.0, gt=0, description="seconds a client waits for Redis before it says so")
    result_ttl: int = Field(3600, ge=1, description="seconds a result is kept")
    max_queue: int = Field(
        100_000, ge=0, description="most requests of each priority that may wait; more are refused; 0: no limit"
    )
    max_text_chars: int = Field(DEFAULT_MAX_TEXT_CHARS, ge=1, description="longest text taken, in code points")
    log_text: bool = Field(
        False, description="1 lets texts and entities into logs and events; they are masked otherwise"
    )
    model: str = Field("", description="folder of a model package; empty: the bundled one")
    engine: str = Field(
        "onnx", min_length=1, description="what runs the model: a name of `hanner.engines`, or module:attribute"
    )
    dictionary: str = Field(
        "", description="file of terms that override the model, `term TAB type` a line; empty: none"
    )
    cache_ttl: int = Field(
        0, ge=0, description="seconds the entities of a text are kept for when it comes again; 0: off"
    )
    concurrency: int = Field(0, ge=0, description="pool processes of a worker; 0: one per core")
    lease: float = Field(
        5.0, ge=1, le=60, description="seconds after which what a silent worker held is taken over by another"
    )
    batch_texts: int = Field(32, ge=1, le=1024, description="most windows of text in one batch")
    batch_tokens: int = Field(2048, ge=1, description="budget of one batch, in tokens after padding: longest x count")
    max_padding: float = Field(0.1, ge=0, lt=1, description="largest share of a batch's tokens that may be padding")
    max_wait_ms: float = Field(
        200.0, ge=0, description="longest a text is overtaken by later ones while all processes are busy"
    )
    api_keys: SecretStr = Field(
        SecretStr(""), description="keys the gateway asks for, with commas: each a key, or `sha256:` and its hex digest"
    )
    rate_limit: str = Field(
        "", description="requests the gateway takes per key, or per address, such as `100/minute`; empty: no limit"
    )
    cors_origins: str = Field(
        "", description="origins whose pages may call the gateway, with commas, such as `https://example.org`"
    )
    max_body_bytes: int = Field(10_000_000, ge=1024, description="longest body of a request to the gateway")
    max_upload_bytes: int = Field(100_000_000, ge=1024, description="longest body of a job, a file too")
    max_jobs: int = Field(100, ge=1, description="jobs of the gateway that may be unfinished, and that are kept ended")
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="address at which a worker serves its metrics; 0.0.0.0: all"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port at which a worker serves /metrics for Prometheus; 0: none"
    )
    flower_password_file: str = Field(
        "",
        description="file with Flower's password, made up if it is not there; empty: one in `hanner flower`'s --data",
    )

    @field_validator("queue")
    @classmethod
    def _not_bulk(cls, name: str) -> str:
        if name.endswith(BULK):
            raise ValueError(f"names that end in {BULK} are those of the second lists; name it otherwise")
        return name

    @field_validator("routes")
    @classmethod
    def _readable(cls, text: str) -> str:
        parse_routes(text)
        return text

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: object) -> Self:
        """Read the settings from `environ` (the process's own by default); `overrides` win.

        A variable that is empty counts as not given; one that is given wins over its file.

        Raises:
            InvalidSettings: a variable, or the file it names, cannot be used; the sentence names it.
        """
        source = os.environ if environ is None else environ
        found = {name: _given(variable(name), source) for name in cls.model_fields if name not in overrides}
        values: dict[str, object] = {name: value for name, value in found.items() if value}
        try:
            return cls.model_validate(values | overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = variable(str(first["loc"][0])) if first["loc"] else "a setting"
            raise InvalidSettings(f"{name} cannot be used: {first['msg']} (got {first['input']!r})") from None


def _given(name: str, source: Mapping[str, str]) -> str:
    """Return a variable's value, or what its file holds without the white space around it; empty if there is none."""
    path = source.get(name + IN_FILE, "")
    if source.get(name) or not path:
        return source.get(name, "")
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"{name}{IN_FILE} cannot be used: {path} cannot be read ({reason})") from None


def variable(name: str) -> str:
    """Name the environment variable of a field: `batch_texts` is HANNER_BATCH_TEXTS."""
    return PREFIX + name.upper()


def table() -> str:
    """Render the settings as the README's Markdown table."""
    rows = ["| variable | default | what it sets |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = int(field.default) if isinstance(field.default, bool) else field.default
        rows.append(
            f"| `{variable(name)}` | `{default}` | {field.description} |"
            if str(default)
            else f"| `{variable(name)}` | | {field.description} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
