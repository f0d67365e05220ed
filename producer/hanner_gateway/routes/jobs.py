"""Routes of jobs under /api/v1/jobs: create, progress and results, events, revoke."""

import asyncio
import contextlib
import errno
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AfterValidator, TypeAdapter, ValidationError
from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.datastructures import FormData, UploadFile

from hanner.errors import InvalidSettings
from hanner.files.options import InputItem, InputOptions
from hanner_gateway import request_id
from hanner_gateway.jobs.progress import ProgressFeed
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.jobs.texts import ACCEPTED, for_form, group_chunks, iterate_in_thread, limit_texts, read_upload
from hanner_gateway.problems import BodyTooLarge, ProblemError, is_json, problem_responses
from hanner_gateway.schemas import (
    JobCreated,
    JobOptions,
    JobProgress,
    JobRequest,
    JobState,
    JobStatus,
    JobText,
    JobTexts,
    Options,
)
from hanner_gateway.state import get_state

router = APIRouter(tags=["jobs"])

JOB_ID = re.compile("[0-9a-f]{32}")
PATH = "/api/v1/jobs"
MULTIPART = "multipart/form-data"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one is for nginx, which buffers responses by default."""
_REQUEST: TypeAdapter[JobText | JobTexts] = TypeAdapter(JobRequest)


def _check_id(job_id: str) -> str:
    """Return the id; one that no job can have is unknown, too."""
    if not JOB_ID.fullmatch(job_id):
        raise _not_found()
    return job_id


JobId = Annotated[str, AfterValidator(_check_id), Path(description="The job's id, as returned when it was created.")]

FILE = (
    "A file whose name ends with "
    + ", ".join(ACCEPTED)
    + ": one text per line, JSON Lines, a JSON array, a table, or a page. Other members and columns are kept in the "
    "documents."
)
MEMBER = "Member of the objects in JSON that has the text, such as `doc.body`; `text` by default."
COLUMN = "Column of a table that has the text: its name, or its number from 1; found by its name by default."
ENCODING = "Encoding of the file; detected by default."
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
                    "member": {"type": "string", "description": MEMBER},
                    "column": {"type": "string", "description": COLUMN},
                    "encoding": {"type": "string", "description": ENCODING},
                    "include_text": {
                        "type": "boolean",
                        "description": JobOptions.model_fields["include_text"].description,
                    },
                    "types": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": Options.model_fields["types"].description,
                    },
                    "min_score": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "description": Options.model_fields["min_score"].description,
                    },
                    "offsets": {"$ref": "#/components/schemas/Unit"},
                    "model": {"type": "string", "description": Options.model_fields["model"].description},
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
    responses=problem_responses(400, 401, 404, 413, 415, 422, 429, 503),
)
async def create_job(request: Request) -> Response:
    """Create a job from one text, many texts, or a file of texts; return its id at once.

    The texts are processed in chunks. The job expires `HANNER_RESULT_TTL` seconds after its last chunk. An invalid text
    does not fail the others, and neither does a line of a file without a text.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == MULTIPART:
        form = await _read_form(request)
        try:
            notices: list[str] = []
            upload, options = _parse_form(form)
            reading = _reading_options(form, get_state(request).settings.max_text_chars, notices)
            return await _create(request, read_upload(upload.file, upload.filename or "", reading), options, notices)
        finally:
            await form.close()
    if not is_json(request):
        raise ProblemError(415, "send JSON, or a file as multipart/form-data in the field `file`")
    body = await _parse_json(request)
    texts = body.texts if isinstance(body, JobTexts) else [body.text]
    return await _create(request, map(InputItem, texts), body)


async def _create(
    request: Request, items: Iterator[InputItem], options: Options, notices: Sequence[str] = ()
) -> Response:
    state = get_state(request)
    await state.client.queue_of(options.model)  # raises UnknownModel before anything is stored
    await state.models.check_types(options.types, options.model)
    job_options = JobOptions(**options.model_dump(include=set(JobOptions.model_fields)))
    chunks = iterate_in_thread(group_chunks(limit_texts(items, state.settings.max_job_texts)))
    job_id, total = await state.jobs.create(chunks, job_options, request_id.current() or "")
    state.runner.wake()
    created = JobCreated(id=job_id, total=total, notices=list(notices) or None)
    return JSONResponse(created.model_dump(exclude_none=True), 202, {"Location": f"/api/v1/jobs/{job_id}"})


async def _parse_json(request: Request) -> JobText | JobTexts:
    max_bytes = get_state(request).settings.max_body_bytes
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes, "upload a .jsonl file, which is streamed")
    try:
        return _REQUEST.validate_python(await asyncio.to_thread(json.loads, body))
    except ValidationError as error:
        raise _validation_error("body", error) from None
    except (ValueError, RecursionError):
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "not JSON"}]) from None


async def _read_form(request: Request) -> FormData:
    """Return the form; its file is in memory, or in the folder for temporary files if it is large."""
    try:
        return await request.form(max_files=1, max_fields=1000)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        detail = f"the gateway has no space for this file; retry later, or enlarge its folder {tempfile.gettempdir()}"
        raise ProblemError(503, detail, headers={"Retry-After": "10"}) from None


def _parse_form(form: FormData) -> tuple[UploadFile, JobOptions]:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise ProblemError(422, "the form has no file; send it in the field `file`")
    values: dict[str, Any] = {
        name: form[name] for name in ("min_score", "offsets", "model", "include_text") if name in form
    }
    with contextlib.suppress(ValueError, TypeError, KeyError):  # a form has only strings; validation reports others
        values["min_score"] = float(values["min_score"])
    if "types" in form:
        values["types"] = [kind for value in form.getlist("types") for kind in str(value).split(",") if kind]
    try:
        return upload, JobOptions.model_validate(values)
    except ValidationError as error:
        raise _validation_error("form", error) from None


def _reading_options(form: FormData, max_chars: int, notices: list[str]) -> InputOptions:
    """Return how an uploaded file is read.

    Args:
        form: The form.
        max_chars: Maximum length of a text.
        notices: Receives sentences about decisions, such as a detected encoding.
    """
    given: dict[str, Any] = {name: str(form[name]) for name in ("member", "column", "encoding") if form.get(name)}
    try:
        return InputOptions(**given, max_chars=max_chars, notify=lambda notice: notices.append(for_form(notice)))
    except InvalidSettings as error:
        raise ProblemError(422, f"the field encoding cannot be used: {error}") from None


def _validation_error(source: str, error: ValidationError) -> RequestValidationError:
    """Return the error as FastAPI reports it, with the place of each value below `source`."""
    errors = error.errors(include_url=False, include_input=False)
    return RequestValidationError([{**each, "loc": (source, *each["loc"])} for each in errors])


@router.get(
    "/api/v1/jobs/{id}",
    summary="Progress and results",
    response_model=JobStatus,
    responses=problem_responses(401, 404, 422, 429, 503),
)
async def read_job(id: JobId, request: Request, *, documents: bool = True) -> Response:  # noqa: A002 - the API's name
    """Return the job's progress and, once it is done, its documents in order; `documents=false` omits them."""
    store = get_state(request).jobs
    progress = await _require_progress(store, id)
    if progress.state is not JobState.DONE or not documents:
        return Response(progress.model_dump_json(exclude_none=True), media_type="application/json")
    return StreamingResponse(_stream_documents(store, progress), media_type="application/json")


async def _stream_documents(store: JobStore, progress: JobProgress) -> AsyncIterator[bytes]:
    yield progress.model_dump_json(exclude_none=True).encode()[:-1] + b',"documents":['
    first = True
    async for part in store.documents(progress.id):
        yield part if first else b"," + part
        first = False
    yield b"]}"


@router.get(
    "/api/v1/jobs/{id}/events",
    summary="Progress as server-sent events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Events `progress`, each with `id`, `state`, `done`, `failed` and `total`, then one event "
            "`end` (done or `revoked`).",
            "content": {"text/event-stream": {}},
        },
        **problem_responses(401, 404, 422, 429, 503),
    },
)
async def stream_events(id: JobId, request: Request) -> Response:  # noqa: A002 - the API's name
    """Stream the job's progress until it ends; the last event is `end`."""
    state = get_state(request)
    first = await _require_progress(state.jobs, id)
    return EventSourceResponse(_events(state.progress, first), headers=EVENT_HEADERS)


async def _events(feed: ProgressFeed, last: JobProgress) -> AsyncIterator[JSONServerSentEvent]:
    async with contextlib.aclosing(feed.follow(last)) as changes:
        async for progress in changes:
            if progress is None:
                yield JSONServerSentEvent({**last.model_dump(exclude_none=True), "state": "revoked"}, event="end")
                return
            done = progress.state is JobState.DONE
            yield JSONServerSentEvent(progress.model_dump(exclude_none=True), event="end" if done else "progress")
            if done:
                return
            last = progress


@router.delete(
    "/api/v1/jobs/{id}",
    status_code=204,
    summary="Revoke",
    responses=problem_responses(401, 404, 422, 429, 503),
)
async def revoke_job(id: JobId, request: Request) -> Response:  # noqa: A002 - the API's name
    """Revoke the job's unfinished texts, and delete the job and its documents."""
    if not await get_state(request).jobs.delete(id):
        raise _not_found()
    return Response(status_code=204)


async def _require_progress(store: JobStore, job_id: str) -> JobProgress:
    """Return the job's progress.

    Raises:
        ProblemError: there is no such job.
    """
    progress = await store.progress(job_id)
    if progress is None:
        raise _not_found()
    return progress


def _not_found() -> ProblemError:
    return ProblemError(404, "no job has this id; it may have been revoked or have expired")
