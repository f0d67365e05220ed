"""The fake model of a stock worker."""

import importlib
import os

from celery.signals import worker_ready

chosen = importlib.import_module(os.environ["STOCK_MODEL"])
run = chosen.run


@worker_ready.connect
def _ready(**_):
    chosen.ready()
