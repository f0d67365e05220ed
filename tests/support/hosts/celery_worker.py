"""Tasks of another Celery app, in its own worker with two processes, on its own broker."""

import os
import subprocess
import sys

from celery import Celery

from support.hosts.actions import Actions

URL = os.environ["HOST_BROKER_URL"]
app = Celery("host", broker=URL, backend=URL)
app.conf.task_default_queue = os.environ.get("HOST_ORIGIN", "host")


@app.task(name="host.run", ignore_result=False)
def run(action):
    return actions.run(action)


if "HOST_ORIGIN" in os.environ:  # in the worker, before it forks
    actions = Actions(os.environ["HOST_ORIGIN"])


def main(origin):
    app.conf.task_default_queue = origin
    command = [sys.executable, "-m", "celery", "-A", "support.hosts.celery_worker", "worker", "-c", "2"]
    worker = subprocess.Popen([*command, "-n", f"{origin}@host"], env={**os.environ, "HOST_ORIGIN": origin})
    try:
        results = [run.delay(action) for action in Actions.ALL]
        assert [result.get(timeout=90) for result in results] == list(Actions.ALL)
    finally:
        worker.terminate()
        worker.wait(60)


if __name__ == "__main__":
    main(sys.argv[1])
