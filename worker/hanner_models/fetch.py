"""Downloads a model from ModelScope's hub with its own client, which resumes what was begun and shows its progress.

What was downloaded stays in ModelScope's cache (`MODELSCOPE_CACHE`), so that trying again costs nothing twice.
"""

import logging
import re
from pathlib import Path

from hanner.utils.packaging import install_hint
from hanner_models.source import ConversionError

DEFAULT = "iic/nlp_raner_named-entity-recognition_chinese-base-news"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WANTED = ["*.json", "*.txt", "*.bin", "*.safetensors", "README.md"]


def fetch(model: str, revision: str = "master") -> Path:
    """Download a model, or the rest of one, and return its folder in ModelScope's cache.

    Args:
        model: owner/name on the hub.
        revision: branch or tag.

    Raises:
        ConversionError: modelscope is not installed, the hub does not answer, or has no such model or revision.
    """
    if not _ID.fullmatch(model):
        raise ConversionError(f"{model!r} is no model of the hub; give it as owner/name, such as {DEFAULT}")
    try:
        from modelscope import snapshot_download  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConversionError(f"{error.name} is not installed; fetching needs it: {install_hint('models')}") from None
    for client in ("modelscope", "modelscope_hub"):  # it warns at each of its tries, and the last one is told anyway
        logging.getLogger(client).setLevel(logging.ERROR)
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    except Exception as error:  # requests', urllib3's and the client's own errors share no class
        raise ConversionError(_sentence(model, revision, error)) from error


def _sentence(model: str, revision: str, error: BaseException) -> str:
    kinds = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    status = next((code for link in _chain(error) if (code := _status(link))), None)
    if status in {401, 403, 404} or kinds & {"NotExistError", "RevisionNotFoundError", "NotExistsError"}:
        return f"the hub has no model {model} with revision {revision} that may be read; check both, or log in there"
    if kinds & {"ConnectionError", "Timeout", "TimeoutError", "gaierror", "ConnectError", "NetworkError"}:
        return (
            "the hub cannot be reached; connect to the network and run the same command again, which goes on where "
            "it stopped, or give a folder you have to hanner model convert"
        )
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{model} could not be downloaded ({first}); run the same command again, which goes on where it stopped"


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
