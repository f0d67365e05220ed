"""The page of all errors, from `hanner.errors` and the gateway's problem details."""

from inspect import cleandoc

from hanner.contract import ErrorCode
from hanner.errors import CLASSES, HannerError, InvalidSettings
from hanner_gateway.problems import HTTP_CODES, OTHER_CODES, STATUS
from reference.markdown import code, page, table

INTRODUCTION = """\
# Errors

All errors are subclasses of `hanner.HannerError`. Each has a message with the next step, and each error of a request
has a `code`. The set of codes is closed. In `extract_many` and `stream`, a text that fails alone has a document with an
`error`: the code and the message.

Responses of the [HTTP API](http.md) are `application/problem+json` with the same codes. 429 and 503 responses carry
Retry-After."""

HTTP_ONLY = """\
## Codes of HTTP only

The gateway also answers with codes that the Python client does not have."""


def render() -> str:
    """Return the page."""
    rows = [
        (f"[`{each}`](#{each})", code(CLASSES[each].__name__), STATUS[each], str(CLASSES[each]())) for each in ErrorCode
    ]
    http_only = sorted([*HTTP_CODES.items(), *((status, name) for name, status in OTHER_CODES.items())])
    return page(
        INTRODUCTION,
        table(["code", "class", "HTTP status", "cause, and what to do"], rows),
        *(f"## {each}\n\n{_text(CLASSES[each])}" for each in ErrorCode),
        f"## Without a code\n\n{_text(InvalidSettings)}\n\n{_text(HannerError)}",
        HTTP_ONLY,
        table(["HTTP status", "code"], [(status, code(name)) for status, name in http_only]),
    )


def _text(error: type[HannerError]) -> str:
    """Return the name of an error class and its docstring, without the sections about arguments."""
    text = cleandoc(error.__doc__ or "").partition("\n\nArgs:")[0]
    return f"`hanner.{error.__name__}`: {text}"
