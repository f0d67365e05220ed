"""Hugging Face's token-classification shape, so that huggingface_hub's InferenceClient works against the gateway.

Its aggregation strategies say how tokens become entities. Here the CRF says that, so all but `none` give the same.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from hanner import errors
from hanner.contract import Entity
from hanner_gateway import extraction as asking
from hanner_gateway.problems import responses
from hanner_gateway.schemas import HuggingFaceElement, HuggingFaceParameters, HuggingFaceRequest

router = APIRouter(tags=["Hugging Face"])
DEFAULTS = HuggingFaceParameters.model_validate({})


@router.post(
    "/",
    summary="Token classification",
    response_model=list[HuggingFaceElement] | list[list[HuggingFaceElement]],
    responses=responses(400, 401, 413, 415, 422, 429, 503, 504),
)
async def classify(asked: HuggingFaceRequest, request: Request) -> Response:
    """Answer as Hugging Face's token-classification task does.

    `InferenceClient(base_url="http://localhost:8000").token_classification(text)` works as it stands. For a list of
    inputs a list of lists comes back.
    """
    parameters = asked.parameters or DEFAULTS
    if isinstance(asked.inputs, str):
        found = await asking.entities(request, asked.inputs)
        return JSONResponse(elements(found, parameters))
    documents = await asking.documents(request, asked.inputs)
    for document in documents:  # this shape has no place for the error of a single text
        if document.error is not None:
            raise errors.from_code(document.error.code, document.error.message)
    return JSONResponse([elements(document.entities, parameters) for document in documents])


def elements(entities: Iterable[Entity], parameters: HuggingFaceParameters) -> list[dict[str, Any]]:
    """Return entities in Hugging Face's shape."""
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
