"""What goes over HTTP. Entities and documents are the contract's own."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from hanner.contract import EXAMPLE_TEXT, MAX_TEXTS, Document, Entity

FOUND: list[JsonValue] = [
    {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.999},
    {"text": "杭州", "type": "LOC", "start": 3, "end": 5, "score": 0.998},
    {"text": "阿里巴巴", "type": "ORG", "start": 5, "end": 9, "score": 0.997},
]


class Unit(StrEnum):
    """What `start` and `end` of an entity count.

    `codepoint` is Python's unit, `utf16` that of JavaScript, Java and C#, `byte` that of UTF-8 (Go, Rust).
    """

    CODEPOINT = "codepoint"
    UTF16 = "utf16"
    BYTE = "byte"


class Options(BaseModel):
    """What is to be done with the entities that were found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: list[str] | None = Field(None, description="Types to keep, such as PER, LOC and ORG; all by default.")
    min_score: float = Field(0.0, ge=0, le=1, strict=True, description="Least score of an entity that is kept.")
    offsets: Unit = Field(Unit.CODEPOINT, description="What `start` and `end` count.")
    model: str | None = Field(None, description="Which model, by name; the gateway's own queue by default.")


class OneText(Options):
    """One text."""

    text: str = Field(description="The text.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": EXAMPLE_TEXT}]})


class ManyTexts(Options):
    """Up to 256 texts in one request; one that cannot be worked on fails alone."""

    texts: list[str] = Field(min_length=1, max_length=MAX_TEXTS, description="The texts.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"texts": [EXAMPLE_TEXT, "今天天气不错"], "types": ["PER", "LOC"], "min_score": 0.5}]
        }
    )


TAGS = ("one", "many")


def _number(value: Any) -> str:
    many = "texts" in value if isinstance(value, dict) else isinstance(value, ManyTexts)
    return TAGS[many]


NerRequest = Annotated[Annotated[OneText, Tag("one")] | Annotated[ManyTexts, Tag("many")], Discriminator(_number)]


class Entities(BaseModel):
    """The entities of one text, sorted, never overlapping."""

    entities: list[Entity]

    model_config = ConfigDict(json_schema_extra={"examples": [{"entities": FOUND}]})


class Documents(BaseModel):
    """One document per text, in order."""

    documents: list[Document]


class JobTexts(Options):
    """Texts of a job: as many as the body may hold."""

    texts: list[str] = Field(min_length=1, description="The texts.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": [EXAMPLE_TEXT, "王小明昨天去了北京大学"]}]})


class JobText(OneText):
    """A job of one text."""


JobRequest = Annotated[Annotated[JobText, Tag("one")] | Annotated[JobTexts, Tag("many")], Discriminator(_number)]


class JobCreated(BaseModel):
    """A job that was taken."""

    id: str = Field(description="The job's id.")
    total: int = Field(ge=1, description="How many texts it has.")


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class JobProgress(BaseModel):
    """How far a job is: `done` counts texts that have an answer, `failed` those of them whose answer is an error."""

    id: str
    state: JobState
    done: int = Field(ge=0)
    failed: int = Field(ge=0)
    total: int = Field(ge=1)


class JobStatus(JobProgress):
    """A job's progress and, once it is done, its documents in the order of its texts."""

    documents: list[Document] | None = None


class Queue(BaseModel):
    """What waits in the queue."""

    depth: int = Field(ge=0, description="Messages that no worker has taken yet.")
    oldest_seconds: float | None = Field(None, description="How long the oldest of them has waited, if known.")
    bulk: int = Field(0, ge=0, description="How many of them are bulk; workers take those after all others.")
    unacked: int = Field(0, ge=0, description="Messages that workers hold and have not answered yet.")


class Worker(BaseModel):
    """One worker, as it describes itself."""

    host: str
    pid: int
    processes: int
    model: str
    rate: float = Field(description="Texts per second, lately.")
    batch_texts: float = Field(description="Texts in a batch, lately.")
    latency_ms: float = Field(description="Milliseconds from a text's arrival to its answer, lately.")
    unacked: int = Field(description="Messages it holds now.")


class Status(BaseModel):
    """Queue and workers now."""

    queue: Queue
    workers: list[Worker]
    rate: float = Field(description="Texts per second of all workers together.")


class Health(BaseModel):
    """The gateway's own state."""

    status: Literal["ok"]


class HuggingFaceParameters(BaseModel):
    """Parameters of Hugging Face's token-classification task."""

    model_config = ConfigDict(extra="ignore")

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = Field(
        None, description="`none` gives one element per character, with B- and I- labels; all others whole entities."
    )
    ignore_labels: list[str] | None = Field(None, description="Types to leave out.")
    stride: int | None = Field(None, strict=True, description="Accepted and ignored: long texts are always read whole.")


class HuggingFaceRequest(BaseModel):
    """Hugging Face's token-classification request."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"inputs": EXAMPLE_TEXT}]})

    inputs: str | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)] = Field(
        description="The text, or several."
    )
    parameters: HuggingFaceParameters | None = None


class HuggingFaceElement(BaseModel):
    """One entity in Hugging Face's shape; with `aggregation_strategy: none` one character of it, with `entity`."""

    entity_group: str | None = None
    entity: str | None = None
    score: float
    word: str
    start: int
    end: int
