"""Parse labelled text in columns, as in CoNLL's shared tasks: one token per line, a blank line between sentences.

No I/O. The first column is the token and the last its label: BIO, IOB1, BIOES or BMES, parsed as leniently as by
conlleval.
"""

from collections.abc import Iterable, Iterator

LabelledText = tuple[str, list[tuple[str, int, int]]]
"""A text, and the type, start and end of each entity in it."""
_FIRST, _LAST = set("BS"), set("ES")


def parse_conll(lines: Iterable[str]) -> Iterator[LabelledText]:
    """Yield the sentences in lines.

    Raises:
        ValueError: a line has no label or an invalid one; the message starts with the line's number.
    """
    tokens: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns:
            if tokens:
                yield _sentence(tokens)
            tokens = []
        elif len(columns) == 1:
            raise ValueError(f"line {number}: {line.strip()!r} must be a token, a space and a label")
        elif columns[0] != "-DOCSTART-":
            tokens.append((columns[0], _label(columns[-1], number)))
    if tokens:
        yield _sentence(tokens)


def _label(label: str, number: int) -> str:
    prefix, _, kind = label.partition("-")
    if label != "O" and (prefix not in set("BIMES") or not kind):
        raise ValueError(
            f"line {number}: {label!r} is not a label; it must be O, or B, I, M, E or S with a type (B-PER)"
        )
    return label


def _sentence(tokens: list[tuple[str, str]]) -> LabelledText:
    text, spans = "", list[tuple[str, int, int]]()
    token, label = "", "O"
    for following, next_label in tokens:
        text += _gap(token, following)
        start = len(text)
        text += following
        before, _, kind_before = label.partition("-")
        token, label = following, next_label
        prefix, _, kind = label.partition("-")
        if kind and kind == kind_before and prefix not in _FIRST and before not in _LAST:
            spans[-1] = (kind, spans[-1][1], len(text))
        elif kind:
            spans.append((kind, start, len(text)))
    return text, spans


def _gap(one: str, other: str) -> str:
    """Return the space between two Latin words or numbers; letters of a word that was split have none between them."""
    latin = all(token.isascii() and token.isalnum() for token in (one, other))
    return " " if latin and len(one) + len(other) > 2 else ""
