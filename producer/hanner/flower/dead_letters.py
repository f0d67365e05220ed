"""The page "Dead letters" of Flower: lists the requests that failed permanently, retries and deletes them.

It is in Flower and not in the gateway because Flower always asks for a password, and callers have none. Texts are shown
only with HANNER_LOG_TEXT=1. Runs on Flower's event loop; Redis is used in its thread pool.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from flower.app import Flower
from flower.views import BaseHandler
from redis.exceptions import RedisError
from tornado.template import Loader, Template
from tornado.web import HTTPError, authenticated, url

from hanner.contract import redact_args
from hanner.errors import HannerError
from hanner.queue.dead_letters import DeadLetter, DeadLetters, first_argument

NAME: Final = "dead-letters"
PAGE_SIZE: Final = 100
"""Dead letters on one page, newest first."""
MAX_CHARACTERS: Final = 500
"""Characters of a text that the list shows."""
ACTIONS: Final = {"retry": "put back into the queue", "delete": "deleted"}
"""What a form can do, and the words that confirm it."""
TEMPLATES: Final = Path(__file__).with_name("templates")
TEMPLATE: Final = "dead_letters.html"
LAST_TAB: Final = ">Broker</a>\n        </li>"
"""The end of the last tab in Flower's navbar.html, after which ours is inserted."""
TAB: Final = """
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'dead-letters' %} active{% end %}"
            href="{{ reverse_url('dead-letters') }}"
            {% if active_tab == 'dead-letters' %}aria-current="page"{% end %}>Dead letters</a>
        </li>"""


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        id: The task id.
        at: When it failed, ISO 8601 in UTC; empty if that is unknown.
        code: The error code that its caller received.
        crashes: How many processes died running it.
        reason: A message for people.
        argument: Its text or texts, or their lengths.
    """

    id: str
    at: str
    code: str
    crashes: int
    reason: str
    argument: str


@dataclass(frozen=True)
class Page:
    """A page of the list.

    Attributes:
        rows: The dead letters, newest first.
        total: How many there are on all pages.
        number: The page's number, from 1.
    """

    rows: Sequence[Row]
    total: int
    number: int

    @property
    def pages(self) -> int:
        """The number of pages; at least 1."""
        return max(1, math.ceil(self.total / PAGE_SIZE))


def read_page(dead: DeadLetters, number: int, *, with_text: bool) -> Page:
    """Return a page of dead letters, the last one if there are not that many. Errors of redis-py pass through."""
    ids = dead.ids()[::-1]
    number = max(1, min(number, math.ceil(len(ids) / PAGE_SIZE)))
    shown = ids[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return Page([_read_row(dead, task_id, with_text=with_text) for task_id in shown], len(ids), number)


def _read_row(dead: DeadLetters, task_id: str, *, with_text: bool) -> Row:
    try:
        letter = dead.get(task_id)
    except HannerError as error:
        return Row(task_id, "", "", 0, str(error), "")
    if letter is None:  # deleted a moment ago
        return Row(task_id, "", "", 0, "it does not exist any more", "")
    at = datetime.fromtimestamp(letter.at, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    return Row(task_id, at, letter.code, letter.crashes, letter.reason, _argument(letter, with_text=with_text))


def _argument(letter: DeadLetter, *, with_text: bool) -> str:
    argument = first_argument(letter.message)
    if not with_text:
        return redact_args([argument])
    text = argument if isinstance(argument, str) else repr(argument)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def run_action(dead: DeadLetters, action: str, ids: Sequence[str] | None) -> int:
    """Retry or delete dead letters, all of them if `ids` is None, and return how many still existed.

    Raises:
        HannerError: there is no such action, or a dead letter cannot be read.
    """
    if action not in ACTIONS:
        raise HannerError(f"unknown action {action!r}; use {' or '.join(ACTIONS)}")
    return (dead.retry if action == "retry" else dead.purge)(dead.ids() if ids is None else ids)


class DeadLettersView(BaseHandler):  # type: ignore[misc]
    """The page and its forms.

    Flower checks the password, and that a form comes from its own pages.
    """

    def initialize(self, dead: DeadLetters, *, with_text: bool) -> None:
        """Receive what `install` passes."""
        self._dead = dead
        self._with_text = with_text

    @authenticated
    async def get(self) -> None:
        """Show a page: the argument `page`, from 1."""
        number = self.get_argument("page", "1", type=int)
        found = await self._call(lambda: read_page(self._dead, number, with_text=self._with_text))
        self.render(
            TEMPLATE,
            found=found,
            counts={action: self.get_argument(action, None, type=int) for action in ACTIONS},
            actions=ACTIONS,
            read_only=self.application.options.read_only,
        )

    @authenticated
    async def post(self) -> None:
        """Run an action on the dead letters with the arguments `id`, or on all of them with `scope=all`."""
        if self.application.options.read_only:
            raise HTTPError(403, "Flower is read-only")
        ids = None if self.get_argument("scope", "") == "all" else self.get_arguments("id")
        action = self.get_argument("action", "")
        count = await self._call(lambda: run_action(self._dead, action, ids))
        self.redirect(f"{self.reverse_url(NAME)}?{urlencode({action: count})}")

    async def _call(self, function: Callable[[], Any]) -> Any:
        """Return the result of a function, which runs in a thread; show its error as text."""
        try:
            return await self.application.io_loop.run_in_executor(None, function)
        except HannerError as error:
            raise HTTPError(400, "%s", error) from None
        except (RedisError, OSError) as error:
            raise HTTPError(503, "Redis does not answer: %s", type(error).__name__) from None


class TemplateLoader(Loader):
    """Loads our templates from this package and Flower's from Flower, with our tab in its navigation bar."""

    def _create_template(self, name: str) -> Template:
        path = TEMPLATES / name if name == TEMPLATE else Path(self.root) / name
        text = path.read_text("utf-8")
        if name == "navbar.html":
            text = text.replace(LAST_TAB, LAST_TAB + TAB, 1)
        return Template(text, name=name, loader=self)


def install(flower: Flower, dead: DeadLetters, *, with_text: bool) -> None:
    """Add the page to a Flower that does not run yet.

    Args:
        flower: Flower's application.
        dead: The dead letters of the queue.
        with_text: Show texts.
    """
    flower.settings["template_loader"] = TemplateLoader(flower.settings["template_path"])
    prefix = f"/{flower.options.url_prefix.strip('/')}" if flower.options.url_prefix else ""
    arguments = {"dead": dead, "with_text": with_text}
    flower.add_handlers(".*", [url(f"{prefix}/{NAME}", DeadLettersView, arguments, name=NAME)])
