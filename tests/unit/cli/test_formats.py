"""Each format, parsed by a small reader that follows its specification."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hanner import Document
from hanner.cli.errors import UsageError
from hanner.cli.formats import FormatName, Record, brat, default_format, line_format
from hanner.cli.formats.conll import bio
from support.sample_records import EMOJI, PEOPLE, SHARP, entity, records

LINES = [FormatName.JSONL, FormatName.HTML, FormatName.CONLL, FormatName.SPACY, FormatName.LABELSTUDIO]


def written(name):
    form = line_format(name)
    return form.header + "".join(map(form.render, records())) + form.footer


def test_jsonl_has_one_object_per_line_with_the_fields_of_the_input():
    lines = [json.loads(line) for line in written(FormatName.JSONL).split("\n")[:-1]]
    assert [line["text"] for line in lines] == [record.text for record in records()]
    assert lines[2]["id"] == 2
    assert lines[4] == {
        "text": "不行",
        "entities": [],
        "error": {"code": "worker_lost", "message": "its process died\nthree times"},
    }
    for line in lines:
        for found in line["entities"]:
            assert line["text"][found["start"] : found["end"]] == found["text"]


def test_lone_surrogates_are_escaped_in_json():
    form = line_format(FormatName.JSONL)
    line = form.render(Record(0, "a\udc00中😀", Document()))
    assert json.loads(line.encode("utf-8", form.encoding_errors))["text"] == "a\udc00中😀"
    assert json.loads(line.encode("ascii", form.encoding_errors))["text"] == "a\udc00中😀"


def read_conll(content):
    """Yield (rows, spans of [type, start, end]) of each text, as a BIO reader does."""
    for block in re.findall(r"((?:.+\n)*)\n", content):
        rows = [line.split("\t") for line in block.split("\n")[:-1]]
        spans = []
        for index, row in enumerate(rows):
            if len(row) == 2 and row[1].startswith("B-"):
                spans.append([row[1][2:], index, index + 1])
            elif len(row) == 2 and row[1].startswith("I-"):
                assert spans[-1][0] == row[1][2:]
                assert spans[-1][2] == index
                spans[-1][2] = index + 1
        yield rows, spans


def test_conll_has_a_character_and_a_tag_per_line_and_a_blank_line_after_each_text():
    texts = list(read_conll(written(FormatName.CONLL)))
    assert len(texts) == len(records())
    assert texts[0][0][:3] == [["马", "B-PER"], ["云", "I-PER"], ["在", "O"]]
    assert texts[0][1] == [["PER", 0, 2], ["LOC", 3, 5], ["ORG", 5, 9]]
    assert texts[1] == ([], [])
    assert "".join(row[0] for row in texts[2][0]) == "😀李明去了北京。"
    assert texts[2][1] == [["PER", 1, 3], ["LOC", 5, 7]]
    assert texts[3][0][-2:] == [["\\", "O"], ["#", "O"]]
    assert texts[4][0] == [["# hanner error worker_lost: its process died three times"]]


def test_bio_separates_adjacent_entities_of_one_type():
    assert [tag for _, tag in bio("甲乙丙", (entity("甲", "PER", 0), entity("乙丙", "PER", 1)))] == [
        "B-PER",
        "B-PER",
        "I-PER",
    ]


def test_brat_offsets_point_into_the_text_file():
    made = brat.make_document(records())
    assert made.text.startswith(PEOPLE + "\n\n😀")
    seen = []
    for line in made.annotations.splitlines():
        kind, middle, text = line.split("\t")
        if kind.startswith("T"):
            name, _, offsets = middle.partition(" ")
            parts = [made.text[int(a) : int(b)] for a, b in (pair.split(" ") for pair in offsets.split(";"))]
            assert "\n" not in "".join(parts)
            assert " ".join(parts) == text
            seen.append((kind, name))
        else:
            assert re.fullmatch(r"AnnotatorNotes T\d+", middle)
            assert middle.split()[1] in dict(seen)
    assert [name for _, name in seen] == ["PER", "LOC", "ORG", "PER", "LOC", "ERROR", "ERROR"]
    assert len({kind for kind, _ in seen}) == len(seen)
    assert made.types == {"PER", "LOC", "ORG", "ERROR"}


def test_brat_splits_entities_at_line_breaks_and_escapes_types():
    found = Document(entities=(entity("人民\n日报", "组织/媒体", 1),))
    made = brat.make_document([Record(0, "在人民\n日报", found)])
    assert made.annotations == "T1\t_____ 1 3;4 6\t人民 日报\n"


def test_brat_configuration_has_all_four_sections():
    made = brat.make_configuration({"GPE", "PER"})
    assert re.findall(r"^\[(.*)\]$", made, re.MULTILINE) == ["entities", "relations", "events", "attributes"]
    assert brat.parse_types(made) == {"GPE", "LOC", "ORG", "PER"}


def test_spacy_lines_fit_example_from_dict():
    lines = [json.loads(line) for line in written(FormatName.SPACY).splitlines()]
    assert lines[0] == {"text": PEOPLE, "entities": [[0, 2, "PER"], [3, 5, "LOC"], [5, 9, "ORG"]]}
    assert lines[2]["meta"] == {"id": 2}
    assert lines[4]["error"]["code"] == "worker_lost"


def test_label_studio_has_a_list_of_tasks_with_predictions():
    tasks = json.loads(written(FormatName.LABELSTUDIO))
    assert [task["data"]["text"] for task in tasks] == [record.text or "" for record in records()]
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "m@00000000"
    assert prediction["score"] == 0.75
    first = prediction["result"][0]
    assert first["value"] == {"start": 0, "end": 2, "text": "马云", "labels": ["PER"]}
    assert (first["from_name"], first["to_name"], first["type"]) == ("label", "text", "labels")
    assert len({region["id"] for region in prediction["result"]}) == 3
    assert tasks[2]["data"]["id"] == 2
    assert tasks[4]["predictions"] == []
    assert tasks[4]["data"]["error"].startswith("worker_lost: ")


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.texts, self.marks, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "p":
            self.texts.append("")
        if tag == "mark":
            self.marks.append(dict(attrs))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "p" in self.open and "small" not in self.open:
            self.texts[-1] += data


def test_html_shows_every_text_and_escapes_it():
    page = Page()
    page.feed(written(FormatName.HTML))
    page.close()
    assert page.open == []
    assert page.texts[:4] == [PEOPLE, "", EMOJI, SHARP]
    assert page.texts[4] == "不行 worker_lost: its process died\nthree times"
    assert [mark["class"] for mark in page.marks] == ["PER", "LOC", "ORG", "PER", "LOC"]
    assert "b" not in page.tags
    assert not page.tags & {"script", "link", "img"}
    assert page.texts[2].count("\n") == 1


def test_every_html_record_is_one_line():
    form = line_format(FormatName.HTML)
    assert all(form.render(record).count("\n") == 1 for record in records())


@pytest.mark.parametrize("name", LINES)
def test_record_matches_its_text(name):
    form = line_format(name)
    for record in records():
        assert form.matches(form.render(record), record.text)
    if name is not FormatName.HTML:
        assert not form.matches(form.render(records()[0]), "别的")


def test_default_format_depends_on_the_output(tmp_path):
    assert default_format(None, terminal=True) is FormatName.TABLE
    assert default_format(None, terminal=False) is FormatName.JSONL
    assert default_format(tmp_path / "a.html", terminal=True) is FormatName.HTML
    assert default_format(tmp_path / "a.spacy", terminal=True) is FormatName.SPACY
    assert default_format(tmp_path / "A.CSV", terminal=True) is FormatName.CSV
    assert default_format(Path("/dev/null"), terminal=True) is FormatName.JSONL
    with pytest.raises(UsageError, match=r"a.out has no suffix of an output format \(\.conll, .*or add --format"):
        default_format(tmp_path / "a.out", terminal=True)
