"""A test request that asks for the model of the workers."""

from typing import TYPE_CHECKING

from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner.client import Client


def query_model(ner: "Client", name: str | None = None) -> str:
    """Return the id, NAME@DIGEST8, of the model that answers; with `name`, of the model of this name.

    Raises:
        HannerError: no worker answers, or its result has no model.
    """
    from hanner.jobs import wait_for_meta

    job = ner.submit(EXAMPLE_TEXT, model=name)
    result = wait_for_meta(job).get("result")
    job.result()
    if not isinstance(result, dict) or "model" not in result:
        raise HannerError("the worker's result does not name its model; update hanner on the worker")
    return str(result["model"])
