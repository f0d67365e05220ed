"""The bundled page in hanner_gateway/static is built from producer/page."""

import build_page


def test_built_page_is_up_to_date():
    assert build_page.built_digest() == build_page.sources_digest(), "run `make page`"


def test_page_names_each_built_file_and_no_other():
    index = (build_page.STATIC / "index.html").read_text("utf-8")
    files = {path.name for path in build_page.STATIC.iterdir()} - {"index.html"}
    named = {part.split('"')[0] for part in index.split('"static/')[1:]}
    assert named == files
