"""The results of requests as pydantic models, which are part of the contract of client and worker. No I/O."""

import json
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr


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


class EntityList(list[Entity]):
    """The entities of one text: a list, with the model that found them. A notebook shows them highlighted in the text.

    Attributes:
        model: NAME@DIGEST8 of the model.
        text: The text as sent; None if it is not known, as in a job of another process.
    """

    def __init__(self, entities: Iterable[Entity] = (), model: str = "", text: str | None = None) -> None:
        super().__init__(entities)
        self.model = model
        self.text = text

    def to_json(self) -> str:
        """Return the entities as a JSON array of objects."""
        return json.dumps([entity.model_dump() for entity in self], ensure_ascii=False)

    def _repr_html_(self) -> str:
        """Return the text with its entities highlighted, for Jupyter and other notebooks."""
        from hanner.html import notebook_html  # noqa: PLC0415 - for notebooks alone

        return notebook_html(self.text, self, None)


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
    _model: str | None = PrivateAttr(None)

    @property
    def text(self) -> str | None:
        """Return the text as sent. The client adds it, because results do not contain it; None if it was not added."""
        return self._text

    @property
    def model(self) -> str | None:
        """Return NAME@DIGEST8 of the model; None if no worker has answered."""
        return self._model

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

    def model_post_init(self, _: Any) -> None:
        """Set the model of each document."""
        for document in self.documents:
            document._model = self.model  # noqa: SLF001 - not a part of its serialisation


def error_document(code: str, message: str) -> Document:
    """Return the document of a text that has an error in place of entities."""
    return Document(error=Failure(code=str(code), message=message))
