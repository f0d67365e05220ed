"""Detection of the encoding, on real sentences one by one."""

import json
from pathlib import Path

import pytest

from hanner.files.encodings import Encoding, detect, find_bom, is_line_based

SENTENCES = [
    json.loads(line)["text"]
    for line in (Path(__file__).parents[2] / "data/evaluation/modern.test.jsonl").read_text("utf-8").splitlines()
]
TRADITIONAL = ["馬雲在杭州阿里巴巴總部發表演講", "臺灣鴻海董事長郭台銘昨天抵達香港", "中央氣象署發布大雨特報", "總統府"]


@pytest.mark.parametrize("name", ["utf-8", "gb18030", "utf-16-le", "utf-16-be"])
def test_every_sentence_is_recognised(name):
    wrong = [sentence for sentence in SENTENCES if detect(sentence.encode(name)) != Encoding(name)]
    assert wrong == []


@pytest.mark.parametrize("name", ["utf-8", "big5", "gb18030", "utf-16-le"])
@pytest.mark.parametrize("sentence", TRADITIONAL)
def test_traditional_sentences_are_recognised(sentence, name):
    assert detect(sentence.encode(name)) == Encoding(name)


def test_words_of_gbk_that_happen_to_be_utf_8():
    assert detect("联通".encode("gbk")) == Encoding("gb18030")
    assert detect("café, naïve".encode()) == Encoding("utf-8")


def test_incomplete_last_character_and_damaged_line_do_not_matter():
    for cut in (1, 2):
        assert detect("马云在杭州".encode()[:-cut]) == Encoding("utf-8")
    assert detect("马云在杭州".encode("gbk")[:-1]) == Encoding("gb18030")
    assert detect("马云\n".encode() * 3 + b"\xff\xfe\n") == Encoding("utf-8")
    assert detect("马云在杭州\n".encode("gbk") * 3 + b"\xff\n") == Encoding("gb18030")


def test_byte_order_marks():
    for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        data = "\ufeff马".encode(name)
        assert find_bom(data) == Encoding(name, len("\ufeff".encode(name)))
    assert find_bom("马".encode()) is None


@pytest.mark.parametrize("data", [bytes(range(256)), b"\xff" * 10, "カタカナのテキスト".encode("shift_jis"), b"\0" * 9])
def test_other_data_is_not_recognised(data):
    assert detect(data) is None


def test_line_based_encodings():
    assert all(map(is_line_based, ("utf-8", "gb18030", "big5", "latin-1")))
    assert not any(map(is_line_based, ("utf-16", "utf-16-le", "utf-32", "hz")))
