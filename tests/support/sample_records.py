"""Sample records for output formats: texts and answers that are difficult to write."""

from hanner import Document, Entity, Failure
from hanner.cli.formats import Record

PEOPLE = "马云在杭州阿里巴巴总部"
EMOJI = "😀 \u3000李 明\n去了北京\r。"
SHARP = '<b>"&\t\\#\u2028'
FAILED = Failure(code="worker_lost", message="its process died\nthree times")


def entity(text, kind, start):
    return Entity(text=text, type=kind, start=start, end=start + len(text), score=0.75)


def records(model="m@00000000"):
    documents = [
        (PEOPLE, Document(entities=(entity("马云", "PER", 0), entity("杭州", "LOC", 3), entity("阿里巴巴", "ORG", 5)))),
        ("", Document()),
        (EMOJI, Document(entities=(entity("李 明", "PER", 3), entity("北京", "LOC", 9)))),
        (SHARP, Document()),
        ("不行", Document(error=FAILED)),
        (None, Document(error=Failure(code="invalid_text", message="line 6 is not JSON"))),
        ("最后", Document()),
    ]
    return [
        Record(number, text, document, {"id": number} if number == 2 else {}, model)
        for number, (text, document) in enumerate(documents)
    ]
