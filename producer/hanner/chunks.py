"""Cutting a stream of texts into requests, and putting the answers back in order. Pure: no I/O, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hanner.contract import MAX_TEXTS, Document, ErrorCode, Failure, text_fault
from hanner.errors import HannerError, InvalidSettings

WINDOW = 1024
"""Texts of a stream that are taken from the source and not given out yet, unless the caller says otherwise."""
WINDOW_CHARACTERS = 4_000_000
"""Code points of a stream in flight: what bounds memory when texts are long."""
PARCEL_TEXTS = 64
PARCEL_CHARACTERS = 32_768
"""Size of one request: enough that sending costs little, small enough that all workers get some."""


@dataclass
class Chunk:
    """Texts that travel together, and what is already known of them.

    Attributes:
        texts: The valid ones, to be sent.
        slots: One per text taken, in order: None where an answer is to come, else the error found here.
        characters: Code points of `texts` together.
    """

    texts: list[str] = field(default_factory=list)
    slots: list[Document | None] = field(default_factory=list)
    characters: int = 0

    def add(self, text: Any, max_chars: int) -> None:
        """Take a text; an invalid one is not sent, its slot says why."""
        fault = text_fault(text, max_chars)
        if fault is None:
            self.texts.append(text)
            self.characters += len(text)
        self.slots.append(None if fault is None else refused(ErrorCode.INVALID_TEXT, fault))

    def fill(self, answers: Iterable[Document]) -> list[Document]:
        """Return one document per text taken, in order; `answers` has one per text sent."""
        source = (document.of(text) for document, text in zip(answers, self.texts, strict=False))
        return [next(source) if slot is None else slot for slot in self.slots]

    def fail(self, error: HannerError) -> list[Document]:
        """Return the documents when the whole request ended in an error that has a code."""
        document = refused(error.code or "", str(error))
        return self.fill([document] * len(self.texts))


@dataclass(frozen=True)
class ChunkLimits:
    """How large a parcel gets, and how much may be in flight."""

    window: int
    max_chars: int

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InvalidSettings(f"window must be at least 1, not {self.window}")

    def complete(self, parcel: Chunk) -> bool:
        """Say whether the parcel should leave: at least four fit the window, so that sending and waiting overlap."""
        most = max(1, min(PARCEL_TEXTS, MAX_TEXTS, self.window // 4))
        return len(parcel.slots) >= most or parcel.characters >= PARCEL_CHARACTERS

    def full(self, parcels: Iterable[Chunk]) -> bool:
        """Say whether an answer must be given out before another text is taken."""
        texts = characters = 0
        for parcel in parcels:
            texts += len(parcel.slots)
            characters += parcel.characters
        return texts >= self.window or characters >= WINDOW_CHARACTERS


def refused(code: str, message: str) -> Document:
    """Return the document of a text that has no entities for a reason."""
    return Document(error=Failure(code=str(code), message=message))
