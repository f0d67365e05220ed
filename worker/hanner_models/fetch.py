"""Download a model from ModelScope's hub with its own client, which shows progress and resumes downloads.

Files stay in ModelScope's cache (`MODELSCOPE_CACHE`), so a second attempt downloads only what is missing.
"""

import logging
import re
from pathlib import Path

from hanner.utils.packaging import install_hint
from hanner_models.source import ConversionError

DEFAULT_MODEL = "iic/nlp_raner_named-entity-recognition_chinese-base-news"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WANTED = ["*.json", "*.txt", "*.bin", "*.safetensors", "README.md"]


def fetch(model: str, revision: str = "master") -> Path:
    """Download a model, or resume its download, and return its folder in ModelScope's cache.

    Args:
        model: id on the hub, as owner/name.
        revision: branch or tag.

    Raises:
        ConversionError: modelscope is not installed, the hub is unreachable, or has no such model or revision.
    """
    if not _ID.fullmatch(model):
        raise ConversionError(f"{model!r} is not a model id; give it as owner/name, such as {DEFAULT_MODEL}")
    try:
        from modelscope import snapshot_download  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"{error.name} is not installed; downloading needs it: {install_hint('models')}"
        ) from None
    for client in ("modelscope", "modelscope_hub"):  # it logs every retry, and the last error is reported below
        logging.getLogger(client).setLevel(logging.ERROR)
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    except Exception as error:  # the errors of requests, urllib3 and the client have no common class
        raise ConversionError(_message(model, revision, error)) from error


def _message(model: str, revision: str, error: BaseException) -> str:
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    status = next((code for each in _chain(error) if (code := _status(each))), None)
    if status in {401, 403, 404} or kinds & {"NotExistError", "RevisionNotFoundError", "NotExistsError"}:
        return f"the hub has no readable model {model} with revision {revision}; check both, or log in to ModelScope"
    if kinds & {"ConnectionError", "Timeout", "TimeoutError", "gaierror", "ConnectError", "NetworkError"}:
        return (
            "the hub cannot be reached; check the network and run the same command again to resume, or convert a "
            "local folder with: hanner model convert"
        )
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{model} could not be downloaded ({first}); run the same command again to resume"


def _chain(error: BaseException | None) -> list[BaseException]:
    errors: list[BaseException] = []
    while error is not None and error not in errors:
        errors.append(error)
        error = error.__cause__ or error.__context__
    return errors


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
