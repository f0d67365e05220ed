"""/api/v1/jobs: create, look, listen, revoke."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import TypeAdapter, ValidationError
from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.datastructures import FormData, UploadFile

from hanner_gateway import request_id
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.jobs.uploads import batches, lines, threaded
from hanner_gateway.problems import ProblemError, is_json, responses
from hanner_gateway.schemas import JobCreated, JobProgress, JobRequest, JobState, JobStatus, JobText, JobTexts, Options
from hanner_gateway.state import State

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The id that creating it gave.")]
PATH = "/api/v1/jobs"
MULTIPART = "multipart/form-data"
LOOK = 1.0
"""Seconds after which a listener reads a job's progress again, announced or not."""
_REQUEST: TypeAdapter[JobText | JobTexts] = TypeAdapter(JobRequest)

FILE = "UTF-8: a .txt with one text on each line, or a .jsonl whose lines are strings or objects with a `text`."
BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": FILE,
                    },
                    "types": {"type": "array", "items": {"type": "string"}},
                    "min_score": {"type": "number", "minimum": 0, "maximum": 1},
                    "offsets": {"$ref": "#/components/schemas/Unit"},
                    "model": {"type": "string"},
                },
            },
            "encoding": {"file": {"contentType": "text/plain, application/x-ndjson"}},
        },
    },
}


@router.post(
    PATH,
    status_code=202,
    summary="Create a job",
    response_model=JobCreated,
    openapi_extra={"requestBody": BODY},
    responses=responses(400, 401, 404, 413, 415, 422, 429, 503),
)
async def create(request: Request) -> Response:
    """Take one or many texts, or a file of them, and return at once.

    The job is worked on in parcels; its state is kept for `HANNER_RESULT_TTL` seconds after the last one. Of its texts,
    one that cannot be worked on fails alone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == MULTIPART:
        async with request.form(max_files=1, max_fields=1000) as form:
            upload, options = _form(form)
            # JSON escapes a character beyond the basic plane in twelve bytes.
            longest = 12 * State.of(request).settings.max_text_chars + 65_536
            name = upload.filename or ""
            return await _create(request, lines(upload.file, name, longest), options)
    if not is_json(request):
        raise ProblemError(415, "send JSON, or a file as multipart/form-data in the field `file`")
    asked = await _json(request)
    texts = asked.texts if isinstance(asked, JobTexts) else [asked.text]
    return await _create(request, iter(texts), asked)


async def _create(request: Request, texts: Iterator[str], options: Options) -> Response:
    state = State.of(request)
    await state.client.queue_of(options.model)  # an unknown one is refused now
    kept = Options(**options.model_dump(include=set(Options.model_fields)))
    job_id, total = await state.jobs.create(threaded(batches(texts)), kept, request_id.current() or "")
    state.runner.wake()
    created = JobCreated(id=job_id, total=total)
    return JSONResponse(created.model_dump(), 202, {"Location": f"/api/v1/jobs/{job_id}"})


async def _json(request: Request) -> JobText | JobTexts:
    most = State.of(request).settings.max_body_bytes
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError(413, f"more than {most:,} bytes of JSON; upload a .jsonl file, which is streamed")
    try:
        return _REQUEST.validate_python(await asyncio.to_thread(json.loads, body))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None
    except (ValueError, RecursionError):
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "no JSON"}]) from None


def _form(form: FormData) -> tuple[UploadFile, Options]:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise ProblemError(422, "the form has no file; put it into the field `file`")
    given: dict[str, Any] = {name: form[name] for name in ("min_score", "offsets", "model") if name in form}
    with contextlib.suppress(ValueError, TypeError, KeyError):  # a form knows no numbers; what is none is named below
        given["min_score"] = float(given["min_score"])
    if "types" in form:
        given["types"] = [kind for value in form.getlist("types") for kind in str(value).split(",") if kind]
    try:
        return upload, Options.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("form", *fault["loc"])} for fault in faults]) from None


@router.get(
    "/api/v1/jobs/{id}",
    summary="Progress and results",
    response_model=JobStatus,
    responses=responses(401, 404, 422, 429, 503),
)
async def look(id: JobId, request: Request, *, documents: bool = True) -> Response:  # noqa: A002 - the API's name
    """Return how far the job is and, once it is done, its documents in order; not those with `documents=false`."""
    store = State.of(request).jobs
    progress = await _known(store, id)
    if progress.state is not JobState.DONE or not documents:
        return Response(progress.model_dump_json(), media_type="application/json")
    return StreamingResponse(_whole(store, progress), media_type="application/json")


async def _whole(store: JobStore, progress: JobProgress) -> AsyncIterator[bytes]:
    yield progress.model_dump_json().encode()[:-1] + b',"documents":['
    first = True
    async for some in store.documents(progress.id):
        yield some if first else b"," + some
        first = False
    yield b"]}"


@router.get(
    "/api/v1/jobs/{id}/events",
    summary="Progress as server-sent events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Events `progress`, each with a JobProgress, and at last `end`: done, or `revoked`.",
            "content": {"text/event-stream": {}},
        },
        **responses(401, 404, 422, 429, 503),
    },
)
async def events(id: JobId, request: Request) -> Response:  # noqa: A002 - the API's name
    """Tell the job's progress until it has ended, the last event being `end`."""
    store = State.of(request).jobs
    first = await _known(store, id)
    return EventSourceResponse(_told(store, first), headers={"Cache-Control": "no-store"})


async def _told(store: JobStore, last: JobProgress) -> AsyncIterator[JSONServerSentEvent]:
    async with store.changes(last.id) as changed:
        shown: JobProgress | None = None
        while True:
            progress = await store.progress(last.id)
            if progress is None:
                yield JSONServerSentEvent({**last.model_dump(), "state": "revoked"}, event="end")
                return
            ended = progress.state is JobState.DONE
            if progress != shown:
                yield JSONServerSentEvent(progress.model_dump(), event="end" if ended else "progress")
            if ended:
                return
            last = shown = progress
            await changed(LOOK)


@router.delete(
    "/api/v1/jobs/{id}",
    status_code=204,
    summary="Revoke",
    responses=responses(401, 404, 422, 429, 503),
)
async def revoke(id: JobId, request: Request) -> Response:  # noqa: A002 - the API's name
    """Revoke what is not done and forget the job and its documents."""
    if not await State.of(request).jobs.drop(id):
        raise _unknown()
    return Response(status_code=204)


async def _known(store: JobStore, job_id: str) -> JobProgress:
    progress = await store.progress(job_id)
    if progress is None:
        raise _unknown()
    return progress


def _unknown() -> ProblemError:
    return ProblemError(404, "there is no such job: it was revoked, has expired, or never was")
