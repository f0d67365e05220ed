"""Names of Flower that are not public API, and that `hanner flower` overrides or uses. Data only.

tests/unit/worker/test_internals.py fails by name when one of them is gone. pyproject.toml pins Flower to the minor
version for which it passes. Before the pin is raised, compare the code of each name in the old and the new version.
"""

from typing import Final

INTERNALS: Final = {
    # flower/serve.py
    "flower.app:Flower": "start_http_server start stop io_loop events",
    "flower.command": "apply_env_options apply_options extract_settings is_flower_option setup_logging",
    "flower.options": "options",
    "flower.urls": "settings",
    # flower/events.py
    "flower.events:Events": "on_event run capp state",
    "celery.events.state:Task": "_fields",
    # flower/dead_letters.py
    "flower.views:BaseHandler": "check_xsrf_cookie get_argument render",
    "tornado.template:Loader": "_create_template",
}
"""By module or module:class: the names, of methods, attributes and functions, separated by spaces."""
