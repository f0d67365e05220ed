"""A self-contained HTML page without scripts, in the reader's light or dark theme."""

from typing import TYPE_CHECKING

from hanner.cli.formats.base import Format, Record
from hanner.html import OTHER_TINT, TINTS, escape_text, highlight, tooltip

if TYPE_CHECKING:
    from hanner.results import Entity

_RULES = "".join(
    f".{kind}{{background:rgba({tint},.2);border-color:rgb({tint})}}\n"
    for kind, tint in {**TINTS, "X": OTHER_TINT}.items()
)


class Html(Format):
    """One paragraph per text, on one line."""

    header = f"""\
<!doctype html>
<html lang="zh">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>hanner</title>
<style>
body{{font:1rem/2 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
p{{white-space:pre-wrap;overflow-wrap:anywhere;margin:.5rem 0}}
mark{{color:inherit;border-bottom:2px solid;border-radius:3px;padding:.1em .3em}}
small{{margin-left:.35em;font-size:.7em;font-weight:700;user-select:none}}
.error{{border-left:3px solid;padding-left:.6rem}}
{_RULES}</style>
</head>
<body>
"""
    encoding_errors = "xmlcharrefreplace"
    footer = "</body>\n</html>\n"

    def render(self, record: Record) -> str:
        """Return a paragraph; a text that failed is followed by its error code and message."""
        error, text = record.document.error, record.text or ""
        if error is not None:
            failure = f"<strong>{escape_text(error.code)}</strong>: {escape_text(error.message)}"
            return f'<p class="error">{escape_text(text)} {failure}</p>\n'
        return f"<p>{highlight(text, record.document.entities, _mark, '<small>')}</p>\n"


def _mark(entity: "Entity") -> str:
    kind = entity.type if entity.type in TINTS else "X"
    return f'<mark class="{kind}" title="{tooltip(entity)}">'
