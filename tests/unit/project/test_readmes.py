"""The READMEs are short, and say the same in both languages."""

import re

import pytest

from support.markdown import ROOT, curl_lines, python_blocks

READMES = ("README.md", "README.zh.md")
MOST_LINES = 150


def text_of(name):
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", READMES)
def test_readme_is_short(name):
    assert len(text_of(name).splitlines()) <= MOST_LINES


def test_both_readmes_have_the_same_code_links_and_figures():
    english, chinese = READMES
    assert python_blocks(ROOT / english) == python_blocks(ROOT / chinese)
    assert curl_lines(ROOT / english) == curl_lines(ROOT / chinese)
    links = [
        set(re.findall(r"\((?:docs/|[A-Z])[^)\s]*\)", text_of(name))) - {f"({other})"}
        for name, other in zip(READMES, READMES[::-1], strict=True)
    ]
    assert links[1] - links[0] == {"(docs/zh/guide.md)", "(docs/zh/settings.md)"}
    assert links[0] <= links[1]
