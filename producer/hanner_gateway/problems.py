"""Error responses as RFC 9457 problem details: hanner's error codes, and the codes of errors that only HTTP has."""

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
from hanner_gateway import request_id
from hanner_gateway.schemas import TAGS

MEDIA_TYPE = "application/problem+json"
STOPPING = "gateway_stopping"
"""The code of requests that are cancelled because the gateway stops, and the outcome of their texts in the metrics."""
DEFAULT_RETRY_AFTER = 1
"""Seconds for Retry-After when there is no better estimate."""

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
"""The HTTP status of each error code. An error without a code is an internal error."""

HTTP_CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
"""The default code of a problem with this status."""

OTHER_CODES: Mapping[str, int] = {
    "cross_site": 403,
    "too_many_texts": 413,
    "unknown_type": 422,
    "host_not_allowed": 421,
    "too_many_jobs": 429,
    "no_worker": 503,
    STOPPING: 503,
}
"""The codes that are no status's default, with their status."""


class Problem(BaseModel):
    """A problem as defined by RFC 9457; `code` is for programs, `detail` is a sentence with the next step."""

    type: str = Field(default="about:blank", description="Always `about:blank`; see `code`.")
    title: str = Field(description="Name of the HTTP status.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What is wrong, and what to do next.")
    code: str = Field(description="One of hanner's error codes, or a code that only HTTP has.")
    request_id: str | None = Field(None, description="Also in the header X-Request-ID and in the logs.")
    limit: int | None = Field(None, description="The limit that the request exceeds, if its status is 413 or 422.")
    errors: list[dict[str, Any]] | None = Field(
        None, description="Each invalid value: `where` it is, and `what` is wrong."
    )


class BodyTooLarge(HTTPException):
    """The error of a body with more bytes than allowed.

    Args:
        limit: The maximum number of bytes.
        advice: The next step.
    """

    def __init__(self, limit: int, advice: str = "send fewer or shorter texts, or upload a file as a job") -> None:
        super().__init__(413, f"the body has more than {limit:,} bytes; {advice}")
        self.limit = limit


class ProblemError(Exception):
    """An error that the gateway itself answers with.

    Args:
        status: HTTP status.
        detail: A sentence with the next step.
        code: Machine-readable reason; the status's default if None.
        headers: Headers of the response.
        limit: The limit that the request exceeds.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.limit = status, detail, limit
        self.code = code or HTTP_CODES[status]
        self.headers = headers


def problem_response(  # noqa: PLR0913  members of a problem, each with its default
    status: int,
    detail: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    """Return the response for a problem."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code or HTTP_CODES.get(status, "error"),
        request_id=request_id.current(),
        limit=limit,
        errors=errors,
    )
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def error_response(error: HannerError) -> Response:
    """Return the response for one of hanner's errors; 429 and 503 carry Retry-After."""
    status = STATUS.get(error.code, 500)
    headers = {}
    if status in {429, 503}:
        # QueueFull estimates how long the backlog takes.
        seconds = getattr(error, "seconds", None)
        headers["Retry-After"] = str(max(1, math.ceil(seconds or DEFAULT_RETRY_AFTER)))
    return problem_response(status, str(error), code=error.code, headers=headers)


def stopping_response() -> Response:
    """Return the response for requests that a stopping gateway cannot finish."""
    detail = "the gateway stops, and the request is cancelled; send it again"
    return problem_response(503, detail, code=STOPPING, headers={"Retry-After": str(DEFAULT_RETRY_AFTER)})


def from_redis_error(error: Exception) -> HannerError:
    """Return the HannerError for an error of redis-py, without its message, which may contain addresses."""
    if isinstance(error, OutOfMemoryError):
        return QueueFull("Redis is at its memory limit; retry later")
    return BrokerUnreachable("the gateway cannot reach Redis; retry, and check that Redis is running")


def install(app: FastAPI) -> None:
    """Register the handlers that turn every error into a problem response."""
    app.add_exception_handler(HannerError, _handle_hanner_error)
    app.add_exception_handler(ProblemError, _handle_problem_error)
    app.add_exception_handler(RedisError, _handle_redis_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)


async def _handle_hanner_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HannerError)
    return error_response(error)


async def _handle_problem_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error.status, error.detail, code=error.code, headers=error.headers, limit=error.limit)


async def _handle_redis_error(_: Request, error: Exception) -> Response:
    return error_response(from_redis_error(error))


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := _allowed_methods(request)):
        headers["Allow"] = allowed  # Starlette names only the methods of the first route with this path
    detail = {
        404: "no resource has this URL; see /docs for the API",
        405: "the resource does not support this method; see /docs for the API",
        408: "the body did not arrive in time; send it faster, or in smaller parts",
    }.get(error.status_code, str(error.detail))
    return problem_response(error.status_code, detail, headers=headers, limit=getattr(error, "limit", None))


def _allowed_methods(request: Request) -> str:
    path = getattr(request.scope.get("route"), "path", None)
    return ", ".join(sorted(map(str.upper, request.app.openapi()["paths"].get(path, ()))))


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem_response(400, "the body is not valid JSON; send UTF-8 JSON, for example with curl --json")
    if request.method in {"POST", "PUT", "PATCH"} and not is_json(request) and errors[0]["loc"][0] == "body":
        return problem_response(415, "the body is not JSON; send the header Content-Type: application/json")
    reported = [{"where": _location(each["loc"]), "what": each["msg"]} for each in errors]
    detail = "; ".join(f"{each['where']}: {each['what']}" for each in reported[:3])
    limit = next((each["ctx"]["max_length"] for each in errors if each["type"] == "too_long" and "ctx" in each), None)
    return problem_response(422, f"the request is invalid: {detail}", errors=reported, limit=limit)


def _location(loc: tuple[str | int, ...]) -> str:
    """Return a dotted path to the invalid value, without pydantic's tags for the members of a union."""
    return ".".join(str(part) for n, part in enumerate(loc) if n != 1 or part not in TAGS)


def is_json(request: Request) -> bool:
    """Return whether the request's Content-Type is JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of problems with these statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
