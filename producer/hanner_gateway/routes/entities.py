"""Routes that answer with entities: POST /api/v1/ner, and POST / in the format of Hugging Face.

`huggingface_hub.InferenceClient` works against POST /. Its aggregation strategies determine how tokens are
merged into entities. Here the CRF does that, so all strategies except `none` give the same result.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse, Response

from hanner import errors
from hanner.contract import EXAMPLE_TEXT
from hanner.results import Entity
from hanner_gateway import extraction
from hanner_gateway.offsets import apply_options, apply_options_to_document
from hanner_gateway.problems import problem_responses
from hanner_gateway.schemas import (
    EXAMPLE_ENTITIES,
    EXAMPLE_MODEL,
    Documents,
    Entities,
    HuggingFaceElement,
    HuggingFaceParameters,
    HuggingFaceRequest,
    ManyTexts,
    NerRequest,
)
from hanner_gateway.state import get_state

router = APIRouter()

EXAMPLES = {
    "one": {"summary": "one text", "value": {"text": EXAMPLE_TEXT}},
    "filtered": {
        "summary": "filtered, offsets for JavaScript",
        "value": {"text": f"😀{EXAMPLE_TEXT}", "types": ["PER", "ORG"], "min_score": 0.5, "offsets": "utf16"},
    },
    "many": {"summary": "several texts", "value": {"texts": [EXAMPLE_TEXT, "今天天气不错"]}},
}
DEFAULT_PARAMETERS = HuggingFaceParameters.model_validate({})


@router.post(
    "/api/v1/ner",
    tags=["entities"],
    summary="Extract entities",
    response_model=Entities | Documents,
    responses={
        200: {
            "description": "`entities` for a `text`, `documents` for `texts`.",
            "content": {"application/json": {"example": {"entities": EXAMPLE_ENTITIES, "model": EXAMPLE_MODEL}}},
        },
        **problem_responses(400, 401, 404, 413, 415, 422, 429, 503, 504),
    },
)
async def ner(
    body: Annotated[NerRequest, Body(openapi_examples=EXAMPLES)],
    request: Request,
) -> Response:
    """Return the people, places and organisations in one text, or in up to 256 texts.

    Entities are sorted and never overlap; `score` is the posterior probability of the span. An invalid text among
    several does not fail the others: its document has an `error`.
    """
    await get_state(request).models.check_types(body.types, body.model)
    answer: Entities | Documents
    if isinstance(body, ManyTexts):
        documents = await extraction.extract_many(request, body.texts, body.model)
        pairs = zip(body.texts, documents, strict=True)
        model = next((document.model for document in documents if document.model), None)
        filtered = [apply_options_to_document(*pair, body) for pair in pairs]
        answer = Documents.model_construct(documents=filtered, model=model)
    else:
        entities = await extraction.extract(request, body.text, body.model)
        filtered_entities = apply_options(body.text, entities, body)
        answer = Entities.model_construct(entities=filtered_entities, model=entities.model or None)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


@router.post(
    "/",
    tags=["Hugging Face"],
    summary="Token classification",
    response_model=list[HuggingFaceElement] | list[list[HuggingFaceElement]],
    responses=problem_responses(400, 401, 413, 415, 422, 429, 503, 504),
)
async def token_classification(body: HuggingFaceRequest, request: Request) -> Response:
    """Return entities in the format of Hugging Face's token-classification task.

    `InferenceClient(base_url="http://localhost:8080").token_classification(text)` works unchanged. A list of inputs
    returns a list of lists.
    """
    parameters = body.parameters or DEFAULT_PARAMETERS
    if isinstance(body.inputs, str):
        entities = await extraction.extract(request, body.inputs)
        return JSONResponse(to_huggingface(entities, parameters))
    documents = await extraction.extract_many(request, body.inputs)
    for document in documents:  # this format has no place for the error of a single text
        if document.error is not None:
            raise errors.from_code(document.error.code, document.error.message)
    return JSONResponse([to_huggingface(document.entities, parameters) for document in documents])


def to_huggingface(entities: Iterable[Entity], parameters: HuggingFaceParameters) -> list[dict[str, Any]]:
    """Return entities in Hugging Face's format."""
    ignored = set(parameters.ignore_labels or ())
    kept = [entity for entity in entities if entity.type not in ignored]
    if parameters.aggregation_strategy == "none":
        return [
            {
                "entity": f"{'I' if n else 'B'}-{e.type}",
                "score": e.score,
                "word": word,
                "start": e.start + n,
                "end": e.start + n + 1,
            }
            for e in kept
            for n, word in enumerate(e.text)
        ]
    return [{"entity_group": e.type, "score": e.score, "word": e.text, "start": e.start, "end": e.end} for e in kept]
