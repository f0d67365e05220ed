"""What users do with hanner: two verbs of the client, and canvases of their own Celery app with hanner's tasks."""

import os

from celery import chain, chord, signature

from hanner import Client
from support.other_app import make_app

TEXT = "马云在杭州"
NAMES = ["马云"]


class Actions:
    """All actions; made once per program, like the client in the guides.

    Args:
        origin: Names the program, and the environment that it runs in.
    """

    VERBS = ("extract", "stream")
    CANVASES = ("link", "chain", "chord", "errback", "countdown")
    ALL = VERBS + CANVASES

    def __init__(self, origin):
        self._origin = origin
        self._client = Client()
        self._app = make_app(os.environ["HANNER_BROKER_URL"])

    def run(self, action):
        """Run one action, and return its name."""
        assert action in self.ALL
        getattr(self, f"_{action}")()
        return action

    def _extract(self):
        assert [entity.text for entity in self._client.extract(TEXT, timeout=60)] == NAMES

    def _stream(self):
        documents = self._client.stream([TEXT] * 20)
        assert [[entity.text for entity in document.entities] for document in documents] == [NAMES] * 20

    def _link(self):
        self._request().apply_async(link=self._step("linked", "link"))

    def _chain(self):
        steps = self._request(), self._step("step", "chain"), self._step("linked", "chain")
        chain(*steps, app=self._app).apply_async()

    def _chord(self):
        chord([self._request() for _ in range(3)], self._step("joined", "chord"), app=self._app).apply_async()

    def _errback(self):
        self._request(5).apply_async(link_error=self._step("failed", "errback"))

    def _countdown(self):
        self._request().apply_async(countdown=1, link=self._step("linked", "countdown"))

    def _request(self, text=TEXT):
        return signature("hanner.extract", [text], app=self._app)

    def _step(self, task, action):
        return self._app.tasks[f"shop.{task}"].s([self._origin, action])
