"""The page in hanner_gateway/page.html is built from producer/page."""

import re

import build_page


def test_built_page_is_up_to_date():
    assert build_page.built_digest() == build_page.sources_digest(), "run `make page`"


def test_page_refers_to_no_file():
    page = build_page.BUILT.read_text("utf-8")
    markup = re.sub(r"(<(script|style)\b[^>]*>).*?</\2>", r"\1", page, flags=re.DOTALL)
    assert markup.count("<script") == markup.count("<style") == 1
    references = re.findall(r"""<(?:script|link|img)[^>]*\b(?:src|href)=["']([^"']+)""", markup)
    assert references
    assert all(reference.startswith("data:") for reference in references)
