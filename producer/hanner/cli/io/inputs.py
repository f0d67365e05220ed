"""Reading texts from arguments, files and stdin, one line at a time. A line that cannot be used fails alone."""

import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hanner.cli.usage_error import Misused
from hanner.errors import InvalidText

STDIN = Path("-")
JSON_SUFFIXES = {".jsonl", ".ndjson"}
SMALLEST_LIMIT = 16 << 20
"""Bytes that a line may have at least, whatever HANNER_MAX_TEXT_CHARS is: JSON lines hold more than the text."""
CHUNK = 1 << 20
BOM = codecs.BOM_UTF8
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Item:
    """One text as it was found.

    Attributes:
        text: The text; None when the line has none, or is far too long to be kept.
        fault: Why it cannot be used, None when it can.
        fields: What else its JSON line said.
        offset: Bytes of all inputs that have been read when this text ends; for arguments 0.
    """

    text: str | None
    fault: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read.

    Attributes:
        encoding: Of the bytes; one in which a line feed is one byte, as in UTF-8 and GB18030.
        json: Whether lines are JSON objects; None to go by the file's suffix.
        member: Which member of a JSON object is the text.
        whole: Take each file as one text.
        max_chars: Longest text, in code points.
    """

    encoding: str = "utf-8"
    json: bool | None = None
    member: str = "text"
    whole: bool = False
    max_chars: int = 100_000

    def __post_init__(self) -> None:
        try:
            feed = "\n".encode(self.encoding)
        except LookupError:
            raise Misused(f"no encoding is named {self.encoding!r}; try utf-8 or gb18030") from None
        if feed != b"\n":
            raise Misused(f"files in {self.encoding} cannot be read line by line; convert them: iconv -t utf-8")

    @property
    def limit(self) -> int:
        """Bytes a line, or a whole file, may have."""
        return max(SMALLEST_LIMIT, 8 * self.max_chars)


def items(texts: Iterable[str], files: Iterable[Path], reading: Reading) -> Iterator[Item]:
    """Yield the texts given as arguments, then those of the files, in order and without reading ahead.

    Raises:
        InvalidText: a file cannot be read, or is in another encoding from its first Chinese character on.
    """
    for text in texts:
        yield Item(text)
    before = 0
    for path in files:
        try:
            with _opened(path) as file:
                for item in _whole(path, file, reading) if reading.whole else _lines(path, file, reading):
                    yield Item(item.text, item.fault, item.fields, before + item.offset)
                before += item_end(file)
        except OSError as error:
            raise InvalidText(f"{path} cannot be read: {error.strerror}") from None


def total_bytes(files: Iterable[Path]) -> int | None:
    """Return how much there is to read, None when that cannot be known."""
    try:
        return sum(path.stat().st_size for path in files if _regular(path))
    except OSError:
        return None


def item_end(file: IO[bytes]) -> int:
    """Return how far a file has been read, 0 for a pipe."""
    try:
        return file.tell()
    except OSError:
        return 0


def _regular(path: Path) -> bool:
    if path == STDIN or not path.is_file():
        raise OSError
    return True


def _opened(path: Path) -> IO[bytes]:
    if path != STDIN:
        return path.open("rb")
    if sys.stdin.isatty():
        print("Type or paste texts, one on each line; Ctrl-D ends them.", file=sys.stderr)
    return sys.stdin.buffer


def _whole(path: Path, file: IO[bytes], reading: Reading) -> Iterator[Item]:
    data = file.read(reading.limit + 1)
    if len(data) > reading.limit:
        yield Item(None, f"{path} has more than {reading.limit:,} bytes; split it")
        return
    yield Item(_Decoder(path, reading.encoding).decode(data, 1)[0], offset=len(data))


def _lines(path: Path, file: IO[bytes], reading: Reading) -> Iterator[Item]:
    as_json = path.suffix.lower() in JSON_SUFFIXES if reading.json is None else reading.json
    decoder = _Decoder(path, reading.encoding)
    offset = number = 0
    while line := file.readline(reading.limit):
        number += 1
        offset += len(line)
        where = f"line {number:,} of {'stdin' if path == STDIN else path}"
        if len(line) == reading.limit and not line.endswith(b"\n"):
            rest = _skip_line(file)
            offset += rest
            yield Item(None, f"{where} has {len(line) + rest:,} bytes; split it", offset=offset)
            continue
        text, fault = decoder.decode(line.removeprefix(BOM) if number == 1 else line, number)
        text = text.rstrip("\r\n")
        if fault is not None:
            yield Item(text, f"{where} {fault}", offset=offset)
        elif as_json:
            yield _parsed(text, where, reading.member, offset)
        else:
            yield Item(text, offset=offset)


def _skip_line(file: IO[bytes]) -> int:
    """Read to the end of a line and return how many bytes that were."""
    skipped = 0
    while part := file.readline(CHUNK):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _parsed(line: str, where: str, member: str, offset: int) -> Item:
    if not line.strip():
        return Item("", offset=offset)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Item(None, f"{where} is not JSON ({error})", offset=offset)
    if isinstance(value, str):
        return Item(value, offset=offset)
    text = value.get(member) if isinstance(value, dict) else None
    if not isinstance(text, str):
        return Item(None, f'{where} has no text; each must be {{"{member}": "…"}} or a string', offset=offset)
    fields = {key: other for key, other in value.items() if key not in {member, "text", "entities", "error"}}
    return Item(text, fields=fields, offset=offset)


class _Decoder:
    """Decodes lines. A file that fails at its first line beyond ASCII is refused; later lines fail alone."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self._proven = False

    def decode(self, data: bytes, number: int) -> tuple[str, str | None]:
        """Return the text and None, or what could be read of it and what is wrong.

        Raises:
            InvalidText: the whole file seems to be in another encoding.
        """
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            if not self._proven:
                raise InvalidText(self._refusal(data, number, error.reason)) from None
            return data.decode(self._encoding, "replace"), f"is not {self._name} ({error.reason})"
        self._proven = self._proven or not data.isascii()
        return text, None

    @property
    def _name(self) -> str:
        return self._encoding.upper()

    def _refusal(self, data: bytes, number: int, reason: str) -> str:
        what = f"{self._path} is not {self._name} (line {number:,}: {reason}); "
        if data.startswith(WIDE):
            return what + "it looks like UTF-16: convert it with iconv -f utf-16 -t utf-8"
        try:
            data.decode("gb18030")
        except UnicodeDecodeError:
            return what + "name its --encoding, or convert it with iconv -t utf-8"
        return what + "if it is GB18030 or GBK, add --encoding gb18030"
