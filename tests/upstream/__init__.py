"""Runs Celery's and kombu's own integration tests against hanner's channel, consumer and event dispatcher.

The tests come from the source distributions of the installed versions; nothing is copied into the repository.
"""
