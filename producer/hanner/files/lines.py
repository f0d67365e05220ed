"""Lines of text in any encoding, decoded one by one: an invalid line fails alone."""

import codecs
from collections.abc import Iterator
from typing import NamedTuple

from hanner.errors import InvalidText
from hanner.files import encodings
from hanner.files.options import InputOptions
from hanner.files.sources import Source

SKIP_BYTES = 1 << 20
"""Bytes that are read at once to skip the rest of a line that is too long."""
BYTE_ORDER_MARK = "\ufeff"


class TooLargeError(InvalidText):
    """A file is too large to be one text."""


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: Its number, from 1.
        text: The line with its end; with replacement characters if it cannot be decoded; None if it is too long.
        error: Why it is invalid, as the rest of a sentence; None if it is valid.
    """

    number: int
    text: str | None
    error: str | None = None


def read_lines(source: Source, options: InputOptions) -> Iterator[Line]:
    """Yield the lines of a file. Only line feeds end lines.

    Raises:
        InvalidText: the encoding cannot be recognised, or is not the given one.
    """
    decoder = LineDecoder(source, options)
    lines = _read_bytes(source, options, decoder) if decoder.is_line_based else _read_wide(source, options, decoder)
    with source.errors():
        yield from lines


def read_text(source: Source, options: InputOptions, *, declared: str | None = None, limit: int | None = None) -> str:
    """Return the whole text of a file, without a byte order mark.

    Args:
        source: The file.
        options: How it is read.
        declared: The encoding that the file itself names; it is used if it fits and the file has no byte order mark.
        limit: Maximum number of bytes.

    Raises:
        TooLargeError: it has more bytes.
        InvalidText: it cannot be decoded.
    """
    data = source.read(None if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise TooLargeError(f"{source.name} has more than {limit:,} bytes; split it")
    decoder = LineDecoder(source, options, sample=data, declared=declared)
    data = data[decoder.bom :]
    if decoder.name is None:
        return data.decode("ascii")
    try:
        return data.decode(decoder.name).removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidText(decoder.wrong_encoding(line, error.reason, data[error.start :])) from None


class LineDecoder:
    """The encoding of a file, and the decoding of its lines.

    If the first line that is not ASCII cannot be decoded, the file is rejected; later lines fail alone.

    Args:
        source: The file.
        options: Its encoding, if the user names one.
        sample: Its first bytes; None to look ahead in the source.
        declared: The encoding that the file itself names.

    Attributes:
        name: The encoding; None while all bytes have been ASCII.
        bom: Number of bytes of the byte order mark.

    Raises:
        InvalidText: the encoding cannot be recognised.
    """

    def __init__(
        self, source: Source, options: InputOptions, *, sample: bytes | None = None, declared: str | None = None
    ) -> None:
        self._source = source
        self._options = options
        self._confirmed = False
        self.name = options.encoding
        self.bom = 0
        if sample is None:
            with source.errors():
                sample = source.stream.peek(1)
        if mark := encodings.find_bom(sample):
            if self.name is None or _same(self.name, mark.name):
                self.name, self.bom = mark
                self._state("byte order mark")
        elif self.name is None and declared is not None and _decodes(sample, declared):
            self.name = declared
            self._state("declaration in it")
        elif self.name is None and (b"\0" in sample or not sample.isascii()):
            self._detect(sample)

    @property
    def is_line_based(self) -> bool:
        """Return whether lines can be separated before they are decoded."""
        return self.name is None or encodings.is_line_based(self.name)

    def decode(self, data: bytes, number: int) -> Line:
        """Return a decoded line.

        Raises:
            InvalidText: the whole file seems to have another encoding.
        """
        if self.name is None:
            if data.isascii():
                return Line(number, data.decode("ascii"))
            self._detect(data + self._source.stream.peek(1))
        assert self.name is not None
        try:
            text = data.decode(self.name)
        except UnicodeDecodeError as error:
            if not self._confirmed and self._options.encoding is not None:
                raise InvalidText(self.wrong_encoding(number, error.reason, data)) from None
            shown = encodings.display_name(self.name)
            return Line(number, data.decode(self.name, "replace"), f"is not {shown} ({error.reason})")
        self._confirmed = self._confirmed or not data.isascii()
        return Line(number, text)

    def wrong_encoding(self, number: int, reason: str, data: bytes) -> str:
        """Return the error for a file that is not in the assumed encoding."""
        shown = encodings.display_name(self.name or "ascii")
        message = f"{self._source.name} is not {shown} (line {number:,}: {reason}); "
        likely = encodings.detect(data) if data else None
        if likely is None or likely.name == self.name:
            return message + "correct the damaged bytes, or name its encoding with --encoding"
        known = encodings.display_name(likely.name)
        return message + f"it looks like {known}: use --encoding {likely.name}, or omit --encoding to detect it"

    def _detect(self, sample: bytes) -> None:
        found = encodings.detect(sample)
        if found is None:
            is_binary = b"\0" in sample
            raise InvalidText(
                f"{self._source.name} is not text: it has zero bytes"
                if is_binary
                else f"the encoding of {self._source.name} cannot be recognised; name it with --encoding, or convert "
                "the file: iconv -f ENCODING -t utf-8"
            )
        self.name = found.name
        self._state("content")

    def _state(self, origin: str) -> None:
        """Report an encoding that is not UTF-8."""
        if self.name != "utf-8":
            shown = encodings.display_name(self.name or "")
            self._options.notify(f"{self._source.name} is read as {shown}, by its {origin}; --encoding overrides it")


def _same(given: str, mark: str) -> bool:
    """Return whether a given encoding, such as `utf-16`, includes that of a byte order mark, such as `utf-16-le`."""
    return codecs.lookup(mark).name.startswith(codecs.lookup(given).name.removesuffix("-sig"))


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def _read_bytes(source: Source, options: InputOptions, decoder: LineDecoder) -> Iterator[Line]:
    """Separate lines, then decode each."""
    source.stream.read(decoder.bom)
    number = 0
    while data := source.stream.readline(options.max_bytes):
        number += 1
        if len(data) == options.max_bytes and not data.endswith(b"\n"):
            yield Line(number, None, f"has {len(data) + _skip_line(source):,} bytes; split it")
        else:
            yield decoder.decode(data, number)


def _skip_line(source: Source) -> int:
    """Read to the end of the line; return the number of bytes read."""
    skipped = 0
    while part := source.stream.readline(SKIP_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _read_wide(source: Source, options: InputOptions, decoder: LineDecoder) -> Iterator[Line]:
    """Decode, then separate lines. A lone surrogate fails with its line; other damage ends the file."""
    assert decoder.name is not None
    source.stream.read(decoder.bom)
    incremental = codecs.getincrementaldecoder(decoder.name)("surrogatepass")
    number, rest, skipped = 1, "", 0
    while True:
        data = source.stream.read1(SKIP_BYTES)
        try:
            text = rest + incremental.decode(data, final=not data)
        except UnicodeError as error:  # without a reason if a byte order mark is missing
            raise InvalidText(decoder.wrong_encoding(number, getattr(error, "reason", str(error)), b"")) from None
        *lines, rest = text.split("\n")
        for line in lines:
            if skipped:
                yield Line(number, None, f"has {skipped + len(line):,} characters; split it")
            else:
                yield Line(number, (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line) + "\n")
            number, skipped = number + 1, 0
        if len(rest) > options.max_bytes:
            skipped, rest = skipped + len(rest), ""
        if not data:
            break
    if skipped:
        yield Line(number, None, f"has {skipped + len(rest):,} characters; split it")
    elif rest:
        yield Line(number, rest.removeprefix(BYTE_ORDER_MARK) if number == 1 else rest)
