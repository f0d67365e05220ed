"""The Celery app that `celery -A hanner_worker` finds. Only this module reads HANNER_* variables at import."""

from hanner_worker.import_path import without_working_folder

with without_working_folder():
    from hanner.errors import HannerError
    from hanner.settings import Settings
    from hanner_worker.app import make_worker_app
    from hanner_worker.command_line import isolate_command

    try:
        isolate_command()
        app = make_worker_app(Settings.from_env())
    except HannerError as error:
        raise SystemExit(f"hanner: {error}") from None
