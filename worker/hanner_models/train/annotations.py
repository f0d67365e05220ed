"""Labels for running text that this project may not distribute: the names in each paragraph, without its text.

A file in the folder `annotations` belongs to the text file of the same name. A line has the number of a paragraph, from
0, and the names in it, by type:

    17	PER 马云	LOC 杭州|中@中日关系	ORG 阿里巴巴|明报@《明报》	NOT 诺贝尔奖

A name is labelled wherever it occurs in the paragraph, except inside a longer one, a title 《…》, or a part after NOT.
With `@`, only its first occurrence in that part of the paragraph is labelled, also inside a title. Paragraphs without a
line are not used, such as those that share 14 characters with an evaluation sentence.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hanner_models.data.datasets import DataError, Sentence, Span, cut_sentence, read_names, read_texts

ANNOTATIONS = Path(__file__).parent / "annotations"
UNLABELLED = "NOT"
_KINDS = ("PER", "LOC", "ORG", UNLABELLED)
_TITLE = re.compile("《[^《》]{1,40}》")
_SENTENCE = re.compile("[。！？!?；…]+[”」』）)]*|\n")
_WORD = re.compile("[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A name in a paragraph.

    Attributes:
        kind: its type, or UNLABELLED for a part of the text in which nothing is labelled.
        name: as written in the text.
        context: the only part of the text in which it is labelled; None for the whole paragraph.
    """

    kind: str
    name: str
    context: str | None = None


def read_annotated(path: Path, annotations: Path | None = None) -> list[Sentence]:
    """Return the annotated paragraphs of a text file, split into sentences.

    Args:
        path: the text file.
        annotations: the file with the names; by default the one in ANNOTATIONS with the name of `path`.

    Raises:
        DataError: a file is missing, a line is malformed, or a name does not occur in its paragraph, because the text
            file is another version than the annotated one.
    """
    annotations = annotations or ANNOTATIONS / f"{path.name.partition('.')[0]}.tsv"
    texts = [text.strip() for text in read_texts(path)]
    sentences: list[Sentence] = []
    done = set()
    for line in read_names(annotations):
        number, names = _parse(line, annotations)
        if number in done:
            raise DataError(f"{annotations}: paragraph {number} has two lines; remove one")
        done.add(number)
        try:
            sentences += split_sentences(label_names(texts[number], names))
        except (IndexError, ValueError) as error:
            raise DataError(
                f"{annotations}, paragraph {number}: {error}; {path} is not the version that was annotated"
            ) from None
    return sentences


def _parse(line: str, path: Path) -> tuple[int, list[Annotation]]:
    number, *parts = line.split("\t")
    names = []
    for kind, _, entries in (part.strip().partition(" ") for part in parts):
        for entry in entries.split("|"):
            name, at, context = entry.partition("@") if "@" in entry[1:] else (entry, "", "")
            names.append(Annotation(kind, name, context if at else None))
    if not number.isdecimal() or not all(map(_is_valid, names)):
        raise DataError(
            f"{path}: {line[:60]!r} must have a number and, after each type of {', '.join(_KINDS)}, names that are "
            "separated by |; a name must be in its context"
        )
    return int(number), names


def _is_valid(entry: Annotation) -> bool:
    context = entry.name if entry.context is None else entry.context
    return entry.kind in _KINDS and entry.name == entry.name.strip() != "" and entry.name in context


def label_names(text: str, names: Iterable[Annotation]) -> Sentence:
    """Return the text with its names labelled.

    Raises:
        ValueError: a name or its context does not occur in the text.
    """
    free, spans = [True] * len(text), []
    ordered = sorted(names, key=lambda entry: (entry.context is None, entry.kind != UNLABELLED, -len(entry.name)))
    titles = [Annotation(UNLABELLED, match[0]) for match in _TITLE.finditer(text)]
    split = next((at for at, entry in enumerate(ordered) if entry.context is None), len(ordered))
    for entry in (*ordered[:split], *titles, *ordered[split:]):
        found = list(_find(text, entry))
        if not found:
            raise ValueError(f"{entry.context or entry.name!r} does not occur in it")
        for start in found:
            end = start + len(entry.name)
            if all(free[start:end]) and entry.kind != UNLABELLED:
                spans.append(Span(entry.kind, start, end))
            if all(free[start:end]) or entry.kind == UNLABELLED:
                free[start:end] = [False] * len(entry.name)
    return Sentence(text, tuple(sorted(spans, key=lambda span: span.start)))


def _find(text: str, entry: Annotation) -> Iterator[int]:
    """Yield the positions of a name; one in Latin letters or digits must be a whole word."""
    if entry.context is not None:
        offset = entry.context.index(entry.name)
        yield from (match.start() + offset for match in re.finditer(re.escape(entry.context), text))
        return
    before = "(?<![A-Za-z0-9])" if _WORD.match(entry.name[0]) else ""
    after = "(?![A-Za-z0-9])" if _WORD.match(entry.name[-1]) else ""
    yield from (match.start() for match in re.finditer(before + re.escape(entry.name) + after, text))


def split_sentences(paragraph: Sentence) -> list[Sentence]:
    """Return the sentences of a paragraph. A name or a title is not split, and a sentence has a letter."""
    wholes = [(span.start, span.end) for span in paragraph.spans]
    wholes += [match.span() for match in _TITLE.finditer(paragraph.text)]
    inside = {position for start, end in wholes for position in range(start + 1, end)}
    ends = [match.end() for match in _SENTENCE.finditer(paragraph.text) if match.end() not in inside]
    cuts = [0]
    for end in (*ends, len(paragraph.text)):
        if any(map(str.isalnum, paragraph.text[cuts[-1] : end])):
            cuts.append(end)
        elif len(cuts) > 1:
            cuts[-1] = end
    return [cut_sentence(paragraph, start, end) for start, end in pairwise(cuts)]
