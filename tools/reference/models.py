"""The tables of the bundled models in the READMEs and in docs/models.md, from the manifests of their packages.

A table is between `<!-- models: LANGUAGE -->` and `<!-- /models -->`: F1 on each file, and the size of the package.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanner_inference.package import DEFAULT_MODEL, bundled_models, open_package
from hanner_models.evaluation.report import summarise_package

ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(ROOT / name for name in ("README.md", "README.zh.md", "docs/models.md"))
_BLOCK = re.compile(r"(<!-- models: (\w+) -->\n).*?(<!-- /models -->)", re.DOTALL)
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "F1 on",
        "default": "{}, default",
        "msra.dev.jsonl": "MSRA, dev part: news of the 1990s",
        "uner_gsdsimp.dev.jsonl": "Universal NER, GSDSimp dev: Wikipedia",
        "weibo.dev.jsonl": "Weibo, dev part: microblogs",
        "modern.test.jsonl": "200 modern sentences of 14 kinds, written for hanner",
        "size": "size of the package",
    },
    "zh": {
        "title": "F1",
        "default": "{}（默认）",
        "msra.dev.jsonl": "MSRA 开发集：1990 年代的新闻",
        "uner_gsdsimp.dev.jsonl": "Universal NER，GSDSimp 开发集：维基百科",
        "weibo.dev.jsonl": "微博开发集",
        "modern.test.jsonl": "为 hanner 编写的 200 个现代句子，14 类文本",
        "size": "模型包大小",
    },
}
_FILES = tuple(name for name in _WORDS["en"] if name.endswith(".jsonl"))


def update(text: str) -> str:
    """Return a document with its tables written again.

    Raises:
        ValueError: the document has no table.
    """
    models = [summarise_package(open_package(name), default=name == DEFAULT_MODEL) for name in bundled_models()]
    text, count = _BLOCK.subn(lambda match: f"{match[1]}{_table(models, _WORDS[match[2]])}\n{match[3]}", text)
    if not count:
        raise ValueError("the document has no <!-- models: en --> … <!-- /models -->")
    return text


def _table(models: list[dict[str, Any]], words: Mapping[str, str]) -> str:
    """Return the table, with a column for each model; the default is the first."""
    models = sorted(models, key=lambda model: not model["default"])
    names = [words["default"].format(m["name"]) if m["default"] else m["name"] for m in models]
    rows = [[words["title"], *names], ["---", *["---:"] * len(models)]]
    rows += [[words[file], *(f"{m['f1'][file]:.3f}" if file in m["f1"] else "" for m in models)] for file in _FILES]
    rows.append([words["size"], *(f"{m['bytes'] / 1e6:.1f} MB" for m in models)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
