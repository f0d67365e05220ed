"""Request and response bodies. Entities and documents are those of hanner.results."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from hanner.contract import EXAMPLE_TEXT, MAX_TEXTS
from hanner.results import Document, Entity

EXAMPLE_ENTITIES: list[JsonValue] = [
    {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.999},
    {"text": "杭州", "type": "LOC", "start": 3, "end": 5, "score": 0.998},
    {"text": "阿里巴巴", "type": "ORG", "start": 5, "end": 9, "score": 0.997},
]

EXAMPLE_MODEL = "hanner-small@8a6f2d72"


class Unit(StrEnum):
    """The unit of an entity's `start` and `end`.

    `codepoint` is Python's unit, `utf16` that of JavaScript, Java and C#, `byte` that of UTF-8 (Go, Rust).
    """

    CODEPOINT = "codepoint"
    UTF16 = "utf16"
    BYTE = "byte"


class Options(BaseModel):
    """Filters for the entities, the unit of their offsets, and the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: list[str] | None = Field(None, description="Types to return, such as PER, LOC and ORG; all by default.")
    min_score: float = Field(0.0, ge=0, le=1, strict=True, description="Minimum score of an entity.")
    offsets: Unit = Field(Unit.CODEPOINT, description="Unit of `start` and `end`.")
    model: str | None = Field(None, description="Name of the model; by default that of the gateway's queue.")


class JobOptions(Options):
    """The options of a job."""

    include_text: bool = Field(False, description="Return each text as the member `text` of its document.")


class TextOrTexts(Options):
    """A request with a `text` or with `texts`."""

    @model_validator(mode="before")
    @classmethod
    def _check_members(cls, value: Any) -> Any:
        if isinstance(value, dict) and ("text" in value) == ("texts" in value):
            problem = "send either `text` or `texts`, not both" if "text" in value else "send a `text`, or `texts`"
            raise PydanticCustomError("text_or_texts", problem)
        return value


class OneText(TextOrTexts):
    """One text."""

    text: str = Field(description="The text.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": EXAMPLE_TEXT}]})


class ManyTexts(TextOrTexts):
    """Up to 256 texts; an invalid text does not fail the others."""

    texts: list[str] = Field(min_length=1, max_length=MAX_TEXTS, description="The texts.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"texts": [EXAMPLE_TEXT, "今天天气不错"], "types": ["PER", "LOC"], "min_score": 0.5}]
        }
    )


TAGS = ("one", "many")


def _tag(value: Any) -> str:
    many = "texts" in value if isinstance(value, dict) else isinstance(value, ManyTexts)
    return TAGS[many]


NerRequest = Annotated[Annotated[OneText, Tag("one")] | Annotated[ManyTexts, Tag("many")], Discriminator(_tag)]


class Entities(BaseModel):
    """The entities of one text, sorted and not overlapping."""

    entities: list[Entity] = Field(description="The entities.")
    model: str | None = Field(None, description="Model that found them, NAME@DIGEST8.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"entities": EXAMPLE_ENTITIES, "model": EXAMPLE_MODEL}]})


class Documents(BaseModel):
    """One document per text, in order."""

    documents: list[Document] = Field(description="The documents.")
    model: str | None = Field(None, description="Model that found the entities; absent if all texts have errors.")


class JobTexts(TextOrTexts):
    """Texts of a job, at most HANNER_MAX_JOB_TEXTS."""

    texts: list[str] = Field(min_length=1, description="The texts.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": [EXAMPLE_TEXT, "王小明昨天去了北京大学"]}]})


class JobText(OneText):
    """A job of one text."""


JobRequest = Annotated[Annotated[JobText, Tag("one")] | Annotated[JobTexts, Tag("many")], Discriminator(_tag)]


class JobCreated(BaseModel):
    """A job that was created."""

    id: str = Field(description="The job's id.")
    total: int = Field(ge=1, description="Number of texts.")
    notices: list[str] | None = Field(None, description="How the file is read, such as a detected encoding.")


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class JobProgress(BaseModel):
    """The progress of a job."""

    id: str = Field(description="The job's id.")
    state: JobState = Field(description="The state of the job.")
    done: int = Field(ge=0, description="Number of processed texts.")
    failed: int = Field(ge=0, description="Number of processed texts that have an error.")
    total: int = Field(ge=1, description="Number of texts.")
    model: str | None = Field(None, description="Model of the last processed texts, NAME@DIGEST8; absent before.")


class JobStatus(JobProgress):
    """A job's progress and, once it is done, its documents in the order of its texts."""

    documents: list[Document] | None = Field(
        None,
        description="One document per text, once the job is done; absent if `documents=false`. The other members of "
        "a line of an uploaded file are members of its document.",
    )


class Queue(BaseModel):
    """The state of the queue."""

    depth: int = Field(ge=0, description="Messages that no worker has fetched yet.")
    oldest_seconds: float | None = Field(None, description="Age of the oldest of them, if known.")
    bulk: int = Field(0, ge=0, description="How many of them are bulk; workers fetch those after all others.")
    unacked: int = Field(0, ge=0, description="Messages in flight: fetched by a worker and not acknowledged.")
    scheduled: int = Field(0, ge=0, description="Messages that wait for their ETA or countdown; not included in depth.")
    scheduled_seconds: float | None = Field(
        None, ge=0, description="Seconds until the next of them is due; null if none is scheduled."
    )
    work_seconds: float = Field(
        0, ge=0, description="Seconds that one worker needs for all interactive messages without a result."
    )
    bulk_work_seconds: float = Field(0, ge=0, description="The same for bulk messages.")
    busy_workers: float = Field(
        0, ge=0, description="Number of workers that interactive messages kept busy in the last seconds."
    )


class Worker(BaseModel):
    """One worker, as it reports itself."""

    host: str = Field(description="Host name.")
    pid: int = Field(description="Process id of the parent process.")
    processes: int = Field(description="Number of pool processes.")
    model: str = Field(description="Model id, NAME@DIGEST8.")
    rate: float = Field(description="Texts per second, recently.")
    batch_texts: float = Field(description="Mean texts per batch, recently.")
    latency_ms: float = Field(description="Mean milliseconds from receiving a text to its answer, recently.")
    unacked: int = Field(description="Messages in flight in this worker.")


class Status(BaseModel):
    """The current state of queue and workers."""

    queue: Queue = Field(description="The queue.")
    workers: list[Worker] = Field(description="Workers with a valid lease.")
    rate: float = Field(description="Texts per second of all workers together.")


class Limits(BaseModel):
    """The limits of requests."""

    text_characters: int = Field(description="Code points of a text (HANNER_MAX_TEXT_CHARS).")
    texts: int = Field(description="Texts of one request that is not a job.")
    body_bytes: int = Field(description="Bytes of a JSON body (HANNER_MAX_BODY_BYTES).")
    upload_bytes: int = Field(description="Bytes of an uploaded file (HANNER_MAX_UPLOAD_BYTES).")
    job_texts: int = Field(description="Texts of a job (HANNER_MAX_JOB_TEXTS).")
    unfinished_jobs: int = Field(description="Unfinished jobs of all callers (HANNER_MAX_JOBS).")
    seconds: float = Field(description="Seconds until a request times out (HANNER_TIMEOUT).")


class Info(BaseModel):
    """The service: its version, model, entity types and limits."""

    version: str = Field(description="Version of the gateway.")
    queue: str = Field(description="The queue of the model.")
    model: str | None = Field(description="The model, NAME@DIGEST8; null if no worker runs.")
    models: list[str] = Field(description="All models of the workers: several while they are being replaced.")
    types: list[str] | None = Field(
        description="The types that entities may have, of the model and of dictionaries; null if they are not known."
    )
    limits: Limits = Field(description="What a request may have at most.")


class Health(BaseModel):
    """The health of the gateway."""

    status: Literal["ok"] = Field(description="Always `ok`; anything else is a problem response.")


class HuggingFaceParameters(BaseModel):
    """Parameters of Hugging Face's token-classification task."""

    model_config = ConfigDict(extra="ignore")

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = Field(
        None, description="`none` returns one element per character, with B- and I- labels; all others whole entities."
    )
    ignore_labels: list[str] | None = Field(None, description="Types to omit.")
    stride: int | None = Field(
        None, strict=True, description="Accepted and ignored: long texts are always processed completely."
    )


class HuggingFaceRequest(BaseModel):
    """Hugging Face's token-classification request."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"inputs": EXAMPLE_TEXT}]})

    inputs: str | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)] = Field(
        description="The text, or a list of texts."
    )
    parameters: HuggingFaceParameters | None = Field(None, description="Parameters of the task.")


class HuggingFaceElement(BaseModel):
    """One entity in Hugging Face's format; with `aggregation_strategy: none` one character, labelled in `entity`."""

    entity_group: str | None = Field(None, description="Type of the entity; absent with `none`.")
    entity: str | None = Field(None, description="Label of the character, such as B-PER; only with `none`.")
    score: float = Field(description="Posterior probability of the entity.")
    word: str = Field(description="The entity, or the character, as it appears in the text.")
    start: int = Field(description="First code point.")
    end: int = Field(description="Code point after the last one.")
