"""The results of requests as pydantic checks them, which are part of the contract of client and worker. No I/O."""

import inspect
import json
from collections.abc import Iterable
from operator import itemgetter
from typing import Annotated, Any, NoReturn, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, PrivateAttr
from pydantic_core import CoreSchema, core_schema


def _member(name: str) -> Any:
    return property(itemgetter(name))


class Entity(dict[str, Any]):
    """One named entity: a read-only dict, which all JSON encoders write as an object. Its members are attributes, too.

    `start` and `end` count code points of the text as sent: `text == source[start:end]`.
    """

    __slots__ = ()

    text: Annotated[str, Field(description="The entity as it appears in the text.")] = _member("text")
    type: Annotated[str, Field(description="Type, such as PER, LOC or ORG.")] = _member("type")
    start: Annotated[int, Field(ge=0, description="First code point.")] = _member("start")
    end: Annotated[int, Field(gt=0, description="Code point after the last one.")] = _member("end")
    score: Annotated[
        float,
        Field(ge=0, le=1, description="Estimated probability that the entity is correct; 1 for a dictionary term."),
    ] = _member("score")

    def __init__(self, *, text: str, type: str, start: int, end: int, score: float) -> None:  # noqa: A002 - public name
        super().__init__(text=text, type=type, start=start, end=end, score=score)

    def __repr__(self) -> str:
        return f"Entity({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __hash__(self) -> int:  # type: ignore[override] # possible, because it cannot change
        return hash((self.text, self.type, self.start, self.end, self.score))

    def __reduce__(self) -> tuple[Any, ...]:
        return Entity._restore, (dict(self),)

    @classmethod
    def _restore(cls, members: dict[str, Any]) -> Self:
        """Return an entity of checked members."""
        entity = cls.__new__(cls)
        dict.update(entity, members)
        return entity

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        hints = get_type_hints(cls, include_extras=True)
        fields = {name: core_schema.typed_dict_field(handler(kind)) for name, kind in hints.items()}
        shown = {"pydantic_js_updates": {"title": cls.__name__, "description": inspect.getdoc(cls)}}
        members = core_schema.typed_dict_schema(fields, cls_name=cls.__name__, metadata=shown)
        ref = f"{cls.__module__}.{cls.__qualname__}"
        return core_schema.no_info_after_validator_function(cls._restore, members, ref=ref)


def _refuse_change(_: Entity, *__: object, **___: object) -> NoReturn:
    raise TypeError("an entity is read-only; change a copy: dict(entity)")


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Entity, _name, _refuse_change)


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
        return json.dumps(self, ensure_ascii=False)

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
