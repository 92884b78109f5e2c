"""APScheduler as a scheduler: it says when, never what; nothing about jobs is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler


class Scheduler:
    """Calls functions again and again until it is stopped."""

    def __init__(self) -> None:
        # APScheduler's default misfire_grace_time (1 s) drops a job that stands behind a busy worker; None runs it.
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )

    def every(self, interval: timedelta, act: Callable[[], None], name: str) -> None:
        """Call `act` every `interval`, never twice at once. `act` handles its own errors."""
        self._scheduler.add_job(act, "interval", seconds=interval.total_seconds(), id=name)

    def pace(self, name: str, interval: timedelta) -> None:
        """From now on call what is called `name` every `interval`; nothing if it is called so already."""
        job = self._scheduler.get_job(name)
        if job is not None and job.trigger.interval != interval:
            self._scheduler.reschedule_job(name, trigger="interval", seconds=interval.total_seconds())

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, after what is being called has returned."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
