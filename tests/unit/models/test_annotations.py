"""Names that are listed per paragraph become labels of the text."""

import pytest

from hanner_models.data.datasets import DataError, Sentence, Span
from hanner_models.train.annotations import ANNOTATIONS, Annotation, label_names, read_annotated, split_sentences


def labelled(text, *names):
    return [(text[s.start : s.end], s.type) for s in label_names(text, names).spans]


def test_names_are_labelled_wherever_they_occur_longest_first():
    text = "北京大学在北京。北京人去北京大学"
    found = labelled(text, Annotation("LOC", "北京"), Annotation("ORG", "北京大学"))
    assert found == [("北京大学", "ORG"), ("北京", "LOC"), ("北京", "LOC"), ("北京大学", "ORG")]


def test_name_with_a_context_is_labelled_only_there():
    text = "中日关系中的日子"
    found = labelled(text, Annotation("LOC", "中", "中日"), Annotation("LOC", "日", "中日"))
    assert found == [("中", "LOC"), ("日", "LOC")]


def test_titles_and_excluded_parts_have_no_names():
    text = "《北京人在纽约》在北京获诺贝尔奖，诺贝尔说"
    names = (Annotation("LOC", "北京"), Annotation("PER", "诺贝尔"), Annotation("NOT", "诺贝尔奖"))
    assert labelled(text, *names) == [("北京", "LOC"), ("诺贝尔", "PER")]
    assert labelled("《明报》报道", Annotation("ORG", "明报", "《明报》")) == [("明报", "ORG")]


def test_latin_name_is_a_whole_word():
    assert labelled("Li在Linux大会", Annotation("PER", "Li")) == [("Li", "PER")]


def test_name_that_does_not_occur_is_an_error():
    with pytest.raises(ValueError, match="上海"):
        labelled("北京", Annotation("LOC", "上海"))


def test_paragraph_is_split_into_sentences_but_not_inside_a_name():
    paragraph = Sentence("他说：“好！”我到了Yahoo!公司。走了", (Span("ORG", 10, 18),))
    parts = split_sentences(paragraph)
    assert [part.text for part in parts] == ["他说：“好！”", "我到了Yahoo!公司。", "走了"]
    assert parts[1].spans == (Span("ORG", 3, 11),)


def test_titles_are_not_split_and_punctuation_joins_the_sentence_before():
    paragraph = Sentence("她读《你好！北京》。。（！）他走了。", ())
    assert [part.text for part in split_sentences(paragraph)] == ["她读《你好！北京》。。（！）", "他走了。"]
    assert split_sentences(Sentence("……", ())) == []


def test_file_with_annotations_is_read_with_its_text(tmp_path):
    (tmp_path / "wiki.txt").write_text("马云在杭州。\n没有\n明报和中日\n", "utf-8")
    (tmp_path / "wiki.tsv").write_text("0\tPER 马云\tLOC 杭州\n1\n2\tLOC 中@中日|日@中日\tORG 明报\n", "utf-8")
    sentences = read_annotated(tmp_path / "wiki.txt", tmp_path / "wiki.tsv")
    assert [(s.text, len(s.spans)) for s in sentences] == [("马云在杭州。", 2), ("没有", 0), ("明报和中日", 3)]


@pytest.mark.parametrize(
    "line",
    [
        "x\tPER 马云",
        "0\tXYZ 马云",
        "0\tXYZ",
        "0\tPER马云",
        "0\tPER",
        "0\tPER 马云|",
        "0\tPER 马云| 杭州",
        "0\tPER 马云@",
        "0\tPER 马云@杭州",
        "7\tPER 马云",
        "0\tPER 王五",
        "0\n0",
    ],
)
def test_annotations_of_another_text_are_refused(tmp_path, line):
    (tmp_path / "wiki.txt").write_text("马云在杭州。\n", "utf-8")
    (tmp_path / "wiki.tsv").write_text(line + "\n", "utf-8")
    with pytest.raises(DataError, match="wiki"):
        read_annotated(tmp_path / "wiki.txt", tmp_path / "wiki.tsv")


@pytest.mark.parametrize("path", sorted(ANNOTATIONS.glob("*.tsv")), ids=lambda path: path.stem)
def test_shipped_annotations_have_each_paragraph_once_and_only_known_types(path):
    numbers, types = [], set()
    for line in path.read_text("utf-8").splitlines():
        number, *parts = line.split("\t")
        numbers.append(int(number))
        types |= {part.partition(" ")[0] for part in parts}
        assert all(part.partition(" ")[2].strip("|") == part.partition(" ")[2] != "" for part in parts), line
    assert numbers == sorted(set(numbers))
    assert types == {"PER", "LOC", "ORG", "NOT"}
