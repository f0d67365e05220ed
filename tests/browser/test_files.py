"""Extraction from a file: upload, progress, results, download."""

import csv
import io
import json

import pytest

from hanner_gateway.jobs.texts import ACCEPTED

SENTENCE = "马云在杭州阿里巴巴总部发表演讲"


def upload(desk, name, content):
    data = content if isinstance(content, bytes) else content.encode()
    desk.page.locator("#file-input").set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})


def message(desk, text):
    desk.page.locator("#file-message").filter(has_text=text).wait_for()
    return desk.page.locator("#file-message").inner_text()


def saved(desk, button):
    with desk.page.expect_download() as download:
        desk.page.locator(button).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def test_txt_upload_and_results_download(desk):
    upload(desk, "新闻.txt", f"\ufeff{SENTENCE}\r\n\r\n😀𠮷林的马云\r\n今天")
    assert message(desk, "4 texts,") == "新闻.txt: 4 texts, 5 names, 0 failed"
    rows = desk.page.locator("#results-body tr")
    assert rows.count() == 4
    assert rows.nth(0).locator(".entity").all_inner_texts() == ["马云", "杭州", "阿里巴巴"]
    assert rows.nth(1).locator(".row-text").inner_text() == ""
    name, data = saved(desk, "#results-jsonl")
    assert name == "新闻.hanner.jsonl"
    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert [line["text"] for line in lines] == [SENTENCE, "", "😀𠮷林的马云", "今天"]
    for line in lines:
        assert all(line["text"][found["start"] : found["end"]] == found["text"] for found in line["entities"])
    name, data = saved(desk, "#results-csv")
    assert name == "新闻.hanner.csv"
    table = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [(row["line"], row["entity"], row["type"]) for row in table][:4] == [
        ("1", "马云", "PER"),
        ("1", "杭州", "LOC"),
        ("1", "阿里巴巴", "ORG"),
        ("2", "", ""),
    ]


def test_jsonl_with_one_invalid_text(desk):
    upload(desk, "a.jsonl", '"马云"\n\n{"text": "杭州", "id": 7}\n"\\ud83d"\n{"id": 8}\n')
    assert message(desk, "5 texts,") == "a.jsonl: 5 texts, 2 names, 2 failed"  # a blank line is a text
    assert desk.page.locator("#results-body tr").nth(3).locator(".row-error").inner_text() == "This text is invalid."
    assert (
        desk.page.locator(".row-message").inner_text().startswith('line 5 of a.jsonl has no text in the member "text"')
    )
    lines = [json.loads(line) for line in saved(desk, "#results-jsonl")[1].decode().splitlines()]
    assert [line["error"]["code"] for line in lines[3:]] == ["invalid_text", "invalid_text"]
    assert (lines[3]["text"], lines[4]["id"]) == ("\ud83d", 8)


def test_download_keeps_the_other_fields_of_the_upload(desk):
    upload(desk, "a.jsonl", '{"id": 7, "text": "马云", "tags": ["a"], "line": "x"}\n"杭州"\n')
    message(desk, "2 texts, 2 names")
    first, second = (json.loads(line) for line in saved(desk, "#results-jsonl")[1].decode().splitlines())
    assert (first["id"], first["tags"], first["line"], first["entities"][0]["text"]) == (7, ["a"], "x", "马云")
    assert set(second) == {"text", "entities"}
    rows = list(csv.DictReader(io.StringIO(saved(desk, "#results-csv")[1].decode("utf-8-sig"), newline="")))
    assert [(row["line"], row["id"], row["tags"], row["input_line"]) for row in rows] == [
        ("1", "7", '["a"]', "x"),
        ("2", "", "", ""),
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_byte_order_mark(desk, encoding):
    upload(desk, "a.txt", f"\ufeff{SENTENCE}\n😀马云".encode(encoding))
    message(desk, "2 texts, 4 names")
    lines = [json.loads(line) for line in saved(desk, "#results-jsonl")[1].decode().splitlines()]
    assert [line["text"] for line in lines] == [SENTENCE, "😀马云"]
    for line in lines:
        assert all(line["text"][found["start"] : found["end"]] == found["text"] for found in line["entities"])


def test_csv_escapes_formulas(desk):
    upload(desk, "a.txt", '=HYPERLINK("http://evil")马云\n+1,"2"')
    message(desk, "2 texts,")
    table = list(csv.DictReader(io.StringIO(saved(desk, "#results-csv")[1].decode("utf-8-sig"), newline="")))
    assert [row["text"] for row in table] == ['\'=HYPERLINK("http://evil")马云', '\'+1,"2"']


def test_results_have_pages_and_open_in_the_editor(desk):
    upload(desk, "many.txt", "\n".join(f"第{number}条，马云" for number in range(1, 61)))
    message(desk, "60 texts, 60 names")
    rows = desk.page.locator("#results-body tr")
    assert rows.count() == 25
    desk.page.locator("#results-next").click()
    desk.page.locator("#results-next").click()
    assert rows.count() == 10
    assert desk.page.locator("#results-range").inner_text() == "51–60 of 60"
    assert desk.page.locator("#results-next").is_disabled()
    rows.last.locator(".row-number").click()
    assert desk.text.input_value() == "第60条，马云"
    desk.wait_for_highlights(1)


def test_progress_and_stop(desk, worker):
    worker.hold()
    upload(desk, "many.txt", "马云\n" * 300)
    message(desk, "0 of 300 texts")
    bar = desk.page.locator("#file-progress")
    assert bar.is_visible()
    assert bar.get_attribute("max") == "300"
    with desk.page.expect_request(lambda request: request.method == "DELETE") as revoked:
        desk.page.locator("#file-stop").click()
    assert revoked.value.response().status == 204
    assert message(desk, "Stopped") == "Stopped after 0 of 300 texts."
    assert not bar.is_visible()
    worker.release()


def test_lost_event_stream_is_reconnected(desk, worker):
    worker.hold()
    streams = []

    def events(route):
        streams.append(route.request.url)
        if len(streams) == 1:
            route.abort("connectionreset")
        else:
            route.fallback()

    desk.page.route("**/events", events)
    upload(desk, "a.txt", "马云")
    message(desk, "0 of 1 texts")
    worker.release()
    message(desk, "1 names")
    assert len(streams) == 2


def test_file_can_be_dropped(desk):
    desk.page.evaluate("""() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(['马云在杭州'], 'dropped.txt'));
        for (const type of ['dragenter', 'dragover', 'drop'])
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }""")
    message(desk, "dropped.txt: 1 texts, 2 names")


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("gbk.txt", "马云在杭州\n今天天气不错".encode("gb18030"), ["马云在杭州", "今天天气不错"]),
        ("big5.txt", "馬雲在杭州\n今天天氣不錯".encode("big5"), ["馬雲在杭州", "今天天氣不錯"]),
        ("a.csv", "编号,正文\n7,😀马云\n8,杭州\n".encode("gb18030"), ["😀马云", "杭州"]),
        ("a.tsv", "编号\t正文\n7\t马云\n", ["马云"]),
        ("a.json", '[{"text": "马云"}, "杭州"]', ["马云", "杭州"]),
        ("a.html", "<head><title>x</title></head><p>马云<br>在<b>杭州</b>", ["马云\n在杭州"]),
    ],
)
def test_files_are_read_as_by_a_job(desk, name, content, texts):
    upload(desk, name, content)
    message(desk, f"{name}: {len(texts)} texts,")
    shown = desk.page.locator("#file-notice").inner_text()
    notice = {
        "gbk.txt": "GB18030, by its content",
        "big5.txt": "Big5, by its content",
        "a.csv": "GB18030, by its content",
    }
    assert notice.get(name, "") in shown
    assert bool(shown) == (name in notice)
    lines = [json.loads(line) for line in saved(desk, "#results-jsonl")[1].decode().splitlines()]
    assert [line["text"] for line in lines] == texts
    for line in lines:
        assert all(line["text"][found["start"] : found["end"]] == found["text"] for found in line["entities"])
    if name == "a.csv":
        assert [line["编号"] for line in lines] == ["7", "8"]


def test_column_and_encoding_can_be_chosen(desk):
    column, encoding = desk.page.locator("#file-column"), desk.page.locator("#file-encoding")
    assert not column.is_visible()
    upload(desk, "a.csv", "标题,摘要\n马云在杭州,北京\n".encode("gb18030"))
    assert "name the one with the texts with the field column: 标题, 摘要" in message(desk, "a.csv cannot be read.")
    column.fill("标题")
    column.press("Enter")
    message(desk, "1 texts, 2 names")
    upload(desk, "b.jsonl", '{"doc": {"body": "王小明"}}')
    message(desk, "b.jsonl cannot be read.")
    column.fill("doc.body")
    column.blur()
    message(desk, "1 texts, 1 names")
    upload(desk, "c.txt", "马云".encode("gb18030"))
    encoding.select_option("utf-8")
    assert "c.txt is not UTF-8" in message(desk, "c.txt cannot be read.")
    encoding.select_option("gb18030")
    message(desk, "1 texts, 1 names")


def test_invalid_files_are_reported(desk, worker):
    for name, content, words in (
        (
            "a.pdf",
            "x",
            "a.pdf cannot be read. Server message: 'a.pdf' cannot be read; upload a file that ends with .txt",
        ),
        ("empty.txt", "", "there is no text"),
        ("bad.jsonl", '{"id": 1}', "line 1 of bad.jsonl"),
        ("x.txt", b"%PDF-1.7", "it is a PDF"),
        ("noise.txt", bytes(range(128, 256)) * 9, "the encoding of noise.txt cannot be recognised"),
    ):
        upload(desk, name, content)
        message(desk, words)
    assert worker.requests == []


def test_file_dialog_offers_what_a_job_accepts(desk):
    assert desk.page.locator("#file-input").get_attribute("accept").split(",") == list(ACCEPTED)


def test_rejection_by_the_gateway_is_shown(desk):
    problem = {"status": 413, "code": "too_large", "detail": "at most 100 MB"}
    desk.page.route("**/api/v1/jobs", lambda route: route.fulfill(status=413, json=problem))
    upload(desk, "a.txt", "马云")
    assert "at most 100 MB" in message(desk, "too large")
    assert desk.page.locator("#file-progress").is_hidden()
