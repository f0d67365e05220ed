"""Errors as RFC 9457 problem details: the contract's codes, and a few that only HTTP knows."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from redis.exceptions import OutOfMemoryError, RedisError
from starlette.exceptions import HTTPException

from hanner.contract import ErrorCode
from hanner.errors import BrokerUnreachable, HannerError, QueueFull
from hanner_gateway.request_id import current
from hanner_gateway.schemas import TAGS

MEDIA_TYPE = "application/problem+json"
TOO_LONG = "the body is too long; send fewer or shorter texts, or upload a file as a job"
RETRY_AFTER = 1
"""Seconds, where nobody knows better."""

STATUS: Mapping[str | None, int] = {
    ErrorCode.INVALID_TEXT: 422,
    ErrorCode.UNKNOWN_MODEL: 404,
    ErrorCode.QUEUE_FULL: 429,
    ErrorCode.TIMED_OUT: 504,
    ErrorCode.EXPIRED: 504,
    ErrorCode.BROKER_UNREACHABLE: 503,
    ErrorCode.MODEL_FAILED: 503,
    ErrorCode.WORKER_LOST: 503,
    ErrorCode.REVOKED: 503,
}
"""The status of each of the contract's codes. An error without one is a fault of hanner's own."""

HTTP_CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
"""Codes of what HTTP itself refuses."""


class Problem(BaseModel):
    """A problem as RFC 9457 has it; `code` is for programs, `detail` says what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="One of the contract's codes, or one that HTTP alone knows.")
    request_id: str | None = Field(None, description="Also in the header X-Request-ID and in the logs.")
    errors: list[dict[str, Any]] | None = Field(None, description="What is wrong where, for a body that has faults.")


class ProblemError(Exception):
    """A refusal of the gateway's own.

    Args:
        status: HTTP status.
        detail: A sentence that says what to do.
        code: Machine-readable reason; the status's own by default.
        headers: Headers of the response.
    """

    def __init__(
        self, status: int, detail: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.code = code or HTTP_CODES[status]
        self.headers = headers


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    """Return the response for a problem."""
    found = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code or HTTP_CODES.get(status, "error"),
        request_id=current(),
        errors=errors,
    )
    content = found.model_dump_json(exclude_none=True)
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def of(error: HannerError) -> Response:
    """Return the response for one of hanner's errors."""
    status = STATUS.get(error.code, 500)
    headers = {}
    if status in {429, 503}:
        # The client's estimate of how long the backlog will take, where it has one.
        seconds = getattr(error, "seconds", None)
        headers["Retry-After"] = str(max(1, math.ceil(seconds or RETRY_AFTER)))
    return problem(status, str(error), code=error.code, headers=headers)


def install(app: FastAPI) -> None:
    """Have every error answered as a problem."""
    app.add_exception_handler(HannerError, _hanner)
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(RedisError, _redis)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _hanner(_: Request, error: Exception) -> Response:
    assert isinstance(error, HannerError)
    return of(error)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem(error.status, error.detail, code=error.code, headers=error.headers)


async def _redis(_: Request, error: Exception) -> Response:
    return of(translated(error))


def translated(error: Exception) -> HannerError:
    """Return what an error of redis-py's means; its text stays in the log, for it may hold addresses."""
    if isinstance(error, OutOfMemoryError):
        return QueueFull("Redis is at its memory limit; wait and send again")
    return BrokerUnreachable("Redis does not answer the gateway; try again, and see whether it runs")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := _methods(request)):
        headers["Allow"] = allowed  # of all routes with this path; Starlette names those of the first
    detail = {
        404: "there is nothing here; /docs lists what there is",
        405: "this address does not know this method; /docs lists what it knows",
        413: TOO_LONG,
    }.get(error.status_code, str(error.detail))
    return problem(error.status_code, detail, headers=headers)


def _methods(request: Request) -> str:
    path = getattr(request.scope.get("route"), "path", None)
    return ", ".join(sorted(map(str.upper, request.app.openapi()["paths"].get(path, ()))))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return problem(400, "the body is no valid JSON; send UTF-8 JSON, for example with curl --json")
    if request.method in {"POST", "PUT", "PATCH"} and not is_json(request) and faults[0]["loc"][0] == "body":
        return problem(415, "send JSON with the header Content-Type: application/json")
    errors = [{"where": _place(fault["loc"]), "what": fault["msg"]} for fault in faults]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in errors[:3])
    return problem(422, f"the request has a fault: {detail}", errors=errors)


def _place(location: tuple[str | int, ...]) -> str:
    """Name where a fault is, without the tags by which pydantic tells a union's members apart."""
    return ".".join(str(part) for n, part in enumerate(location) if n != 1 or part not in TAGS)


def is_json(request: Request) -> bool:
    """Say whether the request calls its body JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems of these statuses for OpenAPI."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
