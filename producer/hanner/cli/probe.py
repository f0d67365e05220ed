"""The text that is sent to see whether, and by what model, texts are answered."""

from hanner.client import Client
from hanner.errors import HannerError
from hanner.jobs import wait_for_meta

PROBE = "马云在杭州"


def model_of(ner: Client, name: str | None = None) -> str:
    """Return the model that answers, or answers to this name: NAME@DIGEST8.

    Raises:
        HannerError: none does.
    """
    job = ner.submit(PROBE, model=name)
    result = wait_for_meta(job).get("result")
    job.result()
    if not isinstance(result, dict) or "model" not in result:
        raise HannerError("the worker does not say which model it runs; is it an older one?")
    return str(result["model"])
