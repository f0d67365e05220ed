"""A celeryconfig module of a program that has Celery already: nothing in it is meant for hanner."""

import os

broker_url = result_backend = os.environ["HOST_BROKER_URL"]
task_default_queue = "elsewhere"
task_ignore_result = True
timezone = "Asia/Shanghai"
enable_utc = False
