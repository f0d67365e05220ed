"""The pages of docs/reference match the code, and the public names are documented."""

import json
import re
import shutil

import pytest
import typer
from griffe import DocstringSectionKind as Kind
from pydantic import BaseModel

import hanner
import hanner_inference
from hanner import errors
from hanner.cli.app import app
from hanner.contract import ErrorCode
from hanner.settings import Settings, variable
from hanner_gateway.openapi import PATH as OPENAPI
from hanner_inference.package import open_package, write_manifest
from hanner_worker.observability.metrics import REDELIVERY_REASONS
from reference import metrics, models, python_api
from reference.pages import FOLDER, PAGES

CHINESE_SETTINGS = FOLDER.parent / "zh" / "settings.md"
REFERS = re.compile(r"see `[\w.]+`|(?i:arguments (and errors )?are those of) `[\w.]+`")


def page(name):
    return (FOLDER / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    assert page(name) == PAGES[name](), "run: make reference"


def test_every_generated_page_is_compared():
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("document", models.DOCUMENTS, ids=lambda path: path.name)
def test_tables_of_the_bundled_models_are_up_to_date(document):
    text = document.read_text("utf-8")
    assert text == models.update(text), "run: make reference"


def test_a_document_without_a_table_of_models_is_reported():
    with pytest.raises(ValueError, match="the document has no"):
        models.update("# hanner\n")


def test_the_table_of_models_has_a_column_for_each_and_begins_with_the_default(monkeypatch, tiny_package, tmp_path):
    folders = {name: tmp_path / name for name in ("tiny-a", "tiny-b")}
    for name, folder in folders.items():
        shutil.copytree(tiny_package, folder)
        manifest = open_package(folder).manifest
        figures = {"msra.dev.jsonl": {"all": {"f1": 0.5 if name == "tiny-a" else 0.75}}}
        write_manifest(folder, manifest.model_copy(update={"name": name, "card": {"figures": figures}}))
    monkeypatch.setattr(models, "bundled_models", lambda: folders)
    monkeypatch.setattr(models, "open_package", lambda name: open_package(folders[name]))
    monkeypatch.setattr(models, "DEFAULT_MODEL", "tiny-b")
    table = models.update("<!-- models: en -->\n<!-- /models -->\n").splitlines()
    assert table[1] == "| F1 on | tiny-b, default | tiny-a |"
    assert table[3] == "| MSRA, dev part: news of the 1990s | 0.750 | 0.500 |"
    assert table[4] == "| Universal NER, GSDSimp dev: Wikipedia |  |  |"
    assert table[-2] == "| size of the package | 0.3 MB | 0.3 MB |"


# Settings


def rows(text):
    return [row.split("|")[1:-1] for row in text.splitlines() if row.startswith("| `HANNER_")]


def test_settings_page_has_every_setting_with_a_description():
    found = rows(page("settings.md"))
    assert [cells[0].strip(" `") for cells in found] == [variable(name) for name in Settings.model_fields]
    assert all(cells[2].strip() for cells in found)


def test_chinese_settings_have_the_same_names_and_defaults():
    chinese = rows(CHINESE_SETTINGS.read_text("utf-8"))
    assert [cells[:2] for cells in chinese] == [cells[:2] for cells in rows(page("settings.md"))]
    assert all(re.search("[\u4e00-\u9fff]", cells[2]) for cells in chinese)


# Errors


def test_errors_page_has_every_code_with_its_class_and_what_to_do():
    for code in ErrorCode:
        assert f"| [`{code}`](#{code}) | `{errors.CLASSES[code].__name__}` |" in page("errors.md")
        assert f"\n## {code}\n" in page("errors.md")


def test_default_message_of_an_error_is_one_paragraph():
    for cls in {errors.HannerError, errors.InvalidSettings, *errors.CLASSES.values()}:
        message = str(cls())
        assert "\n" not in message
        assert "Raised" not in message
        assert cls.__doc__.startswith(message[:20])


# Command line


def test_command_line_page_has_every_command_and_option():
    def options(command, path, parent=None):
        context = command.make_context(path, [], parent, resilient_parsing=True)
        for name in getattr(command, "list_commands", lambda _: ())(context):
            yield from options(command.get_command(context, name), f"{path} {name}", context)
        if not hasattr(command, "list_commands"):
            yield path, [option for parameter in command.params for option in parameter.opts if option.startswith("-")]

    found = dict(options(typer.main.get_command(app), "hanner"))
    assert {"hanner extract", "hanner worker", "hanner gateway", "hanner model convert", "hanner dead list"} <= set(
        found
    )
    sections = dict(re.findall(r"^## (hanner.*?)\n(.*?)(?=^## |\Z)", page("cli.md"), re.MULTILINE | re.DOTALL))
    assert sections.keys() == found.keys()
    for path, names in found.items():
        for name in names:
            assert name in sections[path] or "completion" in name, (path, name)


# HTTP


def test_http_page_has_every_route_and_describes_every_field():
    document = json.loads(OPENAPI.read_text("utf-8"))
    for path, methods in document["paths"].items():
        for method in methods:
            assert re.search(rf"^(## |`){method.upper()} {re.escape(path)}`?$", page("http.md"), re.MULTILINE)
    for name, schema in document["components"]["schemas"].items():
        assert f"\n### {name}\n" in page("http.md")
        for field, content in schema.get("properties", {}).items():
            assert content.get("description"), (name, field)


# Metrics


def test_metrics_page_explains_every_reason_of_a_redelivery():
    assert set(metrics.REASONS) == set(REDELIVERY_REASONS)


# Python


@pytest.mark.parametrize("package", [hanner, hanner_inference])
def test_python_page_has_every_public_name(package):
    assert set(python_api.missing_names()) == set()
    for name in package.__all__:
        assert f"\n### `{name}`\n" in page("python.md"), name


@pytest.fixture(scope="module")
def objects():
    """Return griffe's object of each public name. Reading the sources takes a second."""
    return dict(python_api.public_objects())


def test_public_names_have_docstrings_with_their_parameters(objects):
    assert [name for name, found in objects.items() if not found.docstring] == []
    assert {name: missing for name, found in objects.items() if (missing := undocumented_parameters(found))} == {}


def undocumented_parameters(found):
    if not found.is_function or REFERS.search(found.docstring.value):
        return set()
    sections = found.docstring.parse("google", warnings=False)
    documented = {each.name for section in sections if section.kind is Kind.parameters for each in section.value}
    parameters = {each.name for each in found.parameters} - {"self", "cls"}
    return {each for each in parameters if not {each, f"**{each}"} & documented}


def test_public_classes_describe_their_attributes(objects):
    for name, found in objects.items():
        if not found.is_class or name == "Settings":  # settings.md
            continue
        cls = getattr(hanner if name in hanner.__all__ else hanner_inference, name)
        described = python_api.attributes(found, cls)
        assert [each for each, text in described.items() if not text] == [], name
        if issubclass(cls, BaseModel):
            assert described.keys() == cls.model_fields.keys(), name


def test_documented_errors_are_public(objects):
    public = {*hanner.__all__, *hanner_inference.__all__}
    for name, found in objects.items():
        for section in found.docstring.parse("google", warnings=False):
            if section.kind is Kind.raises:
                assert {str(each.annotation) for each in section.value} <= public, name
