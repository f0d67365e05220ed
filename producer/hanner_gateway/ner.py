"""POST /api/v1/ner."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from hanner.contract import EXAMPLE_TEXT
from hanner_gateway import extraction as asking
from hanner_gateway.offsets import shaped, shaped_document
from hanner_gateway.problems import responses
from hanner_gateway.schemas import FOUND, Documents, Entities, ManyTexts, NerRequest

router = APIRouter(tags=["entities"])

EXAMPLES = {
    "one": {"summary": "one text", "value": {"text": EXAMPLE_TEXT}},
    "filtered": {
        "summary": "filtered, offsets for JavaScript",
        "value": {"text": f"😀{EXAMPLE_TEXT}", "types": ["PER", "ORG"], "min_score": 0.5, "offsets": "utf16"},
    },
    "many": {"summary": "several texts", "value": {"texts": [EXAMPLE_TEXT, "今天天气不错"]}},
}


@router.post(
    "/api/v1/ner",
    summary="Find entities",
    response_model=Entities | Documents,
    responses={
        200: {
            "description": "`entities` for a `text`, `documents` for `texts`.",
            "content": {"application/json": {"example": {"entities": FOUND}}},
        },
        **responses(400, 401, 404, 413, 415, 422, 429, 503, 504),
    },
)
async def ner(
    asked: Annotated[NerRequest, Body(openapi_examples=EXAMPLES)],
    request: Request,
) -> Response:
    """Return the people, places and organisations of one text, or of up to 256 texts in one request.

    Entities come sorted and never overlap; `score` is the posterior probability of the span. Of several texts, one that
    cannot be worked on fails alone: its document has an `error`.
    """
    answer: Entities | Documents
    if isinstance(asked, ManyTexts):
        documents = await asking.documents(request, asked.texts, asked.model)
        pairs = zip(asked.texts, documents, strict=True)
        answer = Documents.model_construct(documents=[shaped_document(*pair, asked) for pair in pairs])
    else:
        entities = await asking.entities(request, asked.text, asked.model)
        answer = Entities.model_construct(entities=shaped(asked.text, entities, asked))
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
