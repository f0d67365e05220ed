"""A Django site: each action in a view."""

import sys

import django
from django.conf import settings
from django.http import HttpResponse
from django.test import Client as Browser
from django.urls import path

from support.hosts.actions import Actions

settings.configure(ALLOWED_HOSTS=["testserver"], ROOT_URLCONF=__name__, SECRET_KEY="x", CELERY_BROKER_URL="memory://")
django.setup()


def view(request, action):
    return HttpResponse(actions.run(action))


urlpatterns = [path("<action>", view)]

if __name__ == "__main__":
    actions = Actions(sys.argv[1])
    for action in Actions.ALL:
        answer = Browser().get(f"/{action}")
        assert answer.content.decode() == action, answer
