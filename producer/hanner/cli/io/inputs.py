"""The inputs of `hanner extract`: arguments, files and stdin, read line by line. An invalid line fails alone."""

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hanner.cli.errors import UsageError
from hanner.errors import InvalidText

STDIN = Path("-")
JSON_SUFFIXES = {".jsonl", ".ndjson"}
MIN_LINE_BYTES = 16 << 20
"""Lower bound of the maximum line length, whatever HANNER_MAX_TEXT_CHARS is: JSON lines contain more than the text."""
SKIP_BYTES = 1 << 20
"""Bytes that are read at once to skip the rest of a line that is too long."""
BOM = codecs.BOM_UTF8
UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_argument(text: str) -> str:
    """Return an argument of the command line; if the locale could not decode its bytes, they are decoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeError):
            return os.fsencode(text).decode()
    return text


@dataclass(frozen=True, slots=True)
class InputItem:
    """One text of the input.

    Attributes:
        text: The text; None if the line has none, or is too long to be kept.
        error: Why the line is invalid; None if it is valid.
        fields: The other members of its JSON object.
        offset: Bytes of all files that have been read at the end of this text; 0 for arguments.
    """

    text: str | None
    error: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0


@dataclass(frozen=True, slots=True)
class InputOptions:
    """How files are read.

    Attributes:
        encoding: Encoding of the files; a line feed must be one byte in it, as in UTF-8 and GB18030.
        json: Whether lines are JSON; None decides by the file's suffix.
        member: Member of a JSON object that has the text.
        whole: Read each file as one text.
        max_chars: Maximum length of a text, in code points.

    Raises:
        UsageError: the encoding is unknown or unsupported.
    """

    encoding: str = "utf-8"
    json: bool | None = None
    member: str = "text"
    whole: bool = False
    max_chars: int = 100_000

    def __post_init__(self) -> None:
        try:
            line_feed = "\n".encode(self.encoding)
        except LookupError:
            raise UsageError(f"unknown encoding {self.encoding!r}; try utf-8 or gb18030") from None
        if line_feed != b"\n":
            raise UsageError(
                f"encoding {self.encoding} cannot be read line by line; convert the files: "
                f"iconv -f {self.encoding} -t utf-8"
            )

    @property
    def max_bytes(self) -> int:
        """Maximum bytes of a line, or of a whole file."""
        return max(MIN_LINE_BYTES, 8 * self.max_chars)


def read_items(texts: Iterable[str], files: Iterable[Path], options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts given as arguments, then those of the files, in order and lazily.

    Raises:
        InvalidText: a file cannot be read, or its first non-ASCII line has another encoding.
    """
    for text in texts:
        yield InputItem(text)
    base = 0
    for path in files:
        try:
            with _open(path) as file:
                for item in _read_whole(path, file, options) if options.whole else _read_lines(path, file, options):
                    yield InputItem(item.text, item.error, item.fields, base + item.offset)
                base += _position(file)
        except OSError as error:
            raise InvalidText(f"{path} cannot be read: {error.strerror}") from None


def total_bytes(files: Iterable[Path]) -> int | None:
    """Return the total size of the files; None if it is unknown."""
    total = 0
    for path in files:
        if path == STDIN or not path.is_file():
            return None
        try:
            total += path.stat().st_size
        except OSError:
            return None
    return total


def _position(file: IO[bytes]) -> int:
    """Return the number of bytes read; 0 for a pipe."""
    try:
        return file.tell()
    except OSError:
        return 0


def _open(path: Path) -> IO[bytes]:
    if path != STDIN:
        return path.open("rb")
    if sys.stdin.isatty():
        print("Type or paste texts, one per line; press Ctrl-D to finish.", file=sys.stderr)
    return sys.stdin.buffer


def _read_whole(path: Path, file: IO[bytes], options: InputOptions) -> Iterator[InputItem]:
    data = file.read(options.max_bytes + 1)
    if len(data) > options.max_bytes:
        yield InputItem(None, f"{path} has more than {options.max_bytes:,} bytes; split it")
        return
    yield InputItem(_Decoder(path, options.encoding).decode(data, 1)[0], offset=len(data))


def _read_lines(path: Path, file: IO[bytes], options: InputOptions) -> Iterator[InputItem]:
    is_json = path.suffix.lower() in JSON_SUFFIXES if options.json is None else options.json
    decoder = _Decoder(path, options.encoding)
    offset = number = 0
    while line := file.readline(options.max_bytes):
        number += 1
        offset += len(line)
        place = f"line {number:,} of {'stdin' if path == STDIN else path}"
        if len(line) == options.max_bytes and not line.endswith(b"\n"):
            rest = _skip_line(file)
            offset += rest
            yield InputItem(None, f"{place} has {len(line) + rest:,} bytes; split it", offset=offset)
            continue
        text, error = decoder.decode(line.removeprefix(BOM) if number == 1 else line, number)
        text = text.rstrip("\r\n")
        if error is not None:
            yield InputItem(text, f"{place} {error}", offset=offset)
        elif is_json:
            yield _parse_json(text, place, options.member, offset)
        else:
            yield InputItem(text, offset=offset)


def _skip_line(file: IO[bytes]) -> int:
    """Read to the end of the line; return the number of bytes read."""
    skipped = 0
    while part := file.readline(SKIP_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _parse_json(line: str, place: str, member: str, offset: int) -> InputItem:
    if not line.strip():
        return InputItem("", offset=offset)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return InputItem(None, f"{place} is not JSON ({error})", offset=offset)
    if isinstance(value, str):
        return InputItem(value, offset=offset)
    text = value.get(member) if isinstance(value, dict) else None
    if not isinstance(text, str):
        return InputItem(None, f'{place} has no text; write {{"{member}": "…"}} or a string', offset=offset)
    fields = {key: other for key, other in value.items() if key not in {member, "text", "entities", "error"}}
    return InputItem(text, fields=fields, offset=offset)


class _Decoder:
    """Decodes lines. If the first non-ASCII line fails, the file is rejected; later lines fail alone."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self._confirmed = False

    def decode(self, data: bytes, number: int) -> tuple[str, str | None]:
        """Return the text and None, or the text with replacement characters and an error message.

        Raises:
            InvalidText: the whole file seems to have another encoding.
        """
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            if not self._confirmed:
                raise InvalidText(self._wrong_encoding(data, number, error.reason)) from None
            return data.decode(self._encoding, "replace"), f"is not {self._name} ({error.reason})"
        self._confirmed = self._confirmed or not data.isascii()
        return text, None

    @property
    def _name(self) -> str:
        return self._encoding.upper()

    def _wrong_encoding(self, data: bytes, number: int, reason: str) -> str:
        message = f"{self._path} is not {self._name} (line {number:,}: {reason}); "
        if data.startswith(UTF16_BOMS):
            return message + "it looks like UTF-16: convert it with iconv -f utf-16 -t utf-8"
        try:
            data.decode("gb18030")
        except UnicodeDecodeError:
            return message + "pass its --encoding, or convert it with iconv -t utf-8"
        return message + "if it is GB18030 or GBK, add --encoding gb18030"
