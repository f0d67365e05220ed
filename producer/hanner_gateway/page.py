"""The demo page at /: one document with its script, style sheet and icon, so that a first visit needs one request.

`make page` builds it from producer/page. Browsers keep it and ask whether it has changed.
"""

import base64
import gzip
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from hanner_gateway.middleware import CSP

FILE = Path(__file__).with_name("page.html")
_INLINE = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL)


class Page(NamedTuple):
    """The page as it is sent.

    Attributes:
        content: The document.
        compressed: The same, compressed with gzip.
        etag: Identifies the content, whether it is compressed or not.
        policy: Its Content-Security-Policy: no script and no style sheet but those of the document.
    """

    content: bytes
    compressed: bytes
    etag: str
    policy: str


def read_page(file: Path = FILE) -> Page:
    """Return the built page."""
    content = file.read_bytes()
    policy = f"{CSP}; require-trusted-types-for 'script'"
    for kind, inline in _INLINE.findall(content.decode()):
        policy = policy.replace(f"{kind}-src 'self'", f"{kind}-src '{_source_hash(inline)}'")
    return Page(content, gzip.compress(content), f'W/"{hashlib.sha256(content).hexdigest()[:16]}"', policy)


def install(app: FastAPI) -> None:
    """Serve the page."""
    page = read_page()

    async def index(request: Request) -> Response:
        """Return the demo page, which highlights entities while the user types."""
        headers = {"etag": page.etag, "vary": "Accept-Encoding", "content-security-policy": page.policy}
        if page.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return HTMLResponse(page.compressed, headers={**headers, "content-encoding": "gzip"})
        return HTMLResponse(page.content, headers=headers)

    app.add_api_route("/", index, summary="Demo page", tags=["page"], response_class=HTMLResponse)
    app.add_api_route("/", index, methods=["HEAD"], include_in_schema=False)


def _source_hash(inline: str) -> str:
    """Return the source of a Content-Security-Policy that allows an inline script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}"
