"""The work that nobody waits for: delete what has ended, and other chores, by one process at a time.

What has ended is the store's to say. Whether this runs inside the host's process at all is the
settings' (`background`); from cron the same work is `run_once`.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from .calling import Clock
from .errors import StoreError
from .faults import stack_of
from .stores.records import Store

logger = logging.getLogger(__name__)

LEASE = "housekeeping"
LEASE_LASTS = timedelta(minutes=5)
"""Five times the usual interval: kept by who has it, free again soon after that process died."""
BATCH = 500
"""Rows of one table in one transaction: a few milliseconds, in which SQLite has no other writer."""
URGENT_AFTER_SECONDS = 1.0
"""After a `wake`: the answer to whoever caused it is out by then, and took as long as any other."""
BATCHES = 200
"""At most so many in one run; what is left waits for the next."""


Chore = Callable[[], object]
"""Something else that is to be done now and then: by one process, within the lease; or at a `wake`, by each that is
woken, which must then see for itself that nothing is done twice."""


def run_once(store: Store, holder: str, now: datetime, chores: Sequence[Chore] = ()) -> int:
    """Delete what has ended by `now`; how many records went. 0 also while another holder has the lease.

    For cron: afterwards the lease is free again. `holder` is a name that no other process has.
    Raises StoreUnavailable.
    """
    try:
        return _work(store, holder, now, chores)
    finally:
        # Held until now is free. Another's lease is refused to us, and so stays as it is.
        store.claim_lease(LEASE, holder, now, now)


def _work(store: Store, holder: str, now: datetime, chores: Sequence[Chore]) -> int:
    if not store.claim_lease(LEASE, holder, now, now + LEASE_LASTS):
        return 0
    deleted = 0
    for _ in range(BATCHES):
        batch = store.delete_expired(now, batch=BATCH)
        deleted += batch
        if batch == 0:
            break
    for chore in chores:
        _try(chore)
    return deleted


def _try(chore: Chore) -> None:
    try:
        chore()
    except StoreError:
        raise
    except Exception as error:  # a hook of the host's may raise anything, and no chore keeps the others from being done
        _tell_of(error, "a chore of housekeeping failed, and will be tried again")


def _tell_of(error: Exception, what: str) -> None:
    logger.error("%s: %s\n%s", what, type(error).__name__, stack_of(error))


class Housekeeping:
    """One thread in each process, from its first request on."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        chores: Sequence[Chore] = (),
        urgent: Sequence[Chore] = (),  # those of them that a `wake` has done at once, without the lease
        interval_seconds: float = 60,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chores = chores
        self._urgent = urgent
        self._interval_seconds = interval_seconds
        self._workers: dict[int, _Worker] = {}

    def ensure_running(self) -> None:
        """Start this process's thread unless it was started before. Cheap: meant for every request.

        Threads don't survive a fork, so a child starts its own. Once stopped it stays stopped.
        """
        pid = os.getpid()
        if pid in self._workers:
            return
        worker = _Worker(self._store, self._clock, self._chores, self._urgent, self._interval_seconds)
        # Of two first requests at once, setdefault lets one win. No lock: a fork could leave it held.
        if self._workers.setdefault(pid, worker) is worker:
            worker.start()

    def wake(self) -> None:
        """Have this process's thread do what is urgent, soon. Never waits; nothing happens where none runs."""
        worker = self._workers.get(os.getpid())
        if worker is not None:
            worker.wake()

    def stop(self) -> None:
        """End this process's thread after what it is doing. Returns when it has ended."""
        worker = self._workers.get(os.getpid())
        if worker is not None:
            worker.stop()


class _Worker(threading.Thread):
    def __init__(
        self, store: Store, clock: Clock, chores: Sequence[Chore], urgent: Sequence[Chore], interval_seconds: float
    ) -> None:
        # A daemon, so that a host that never calls `stop` can still exit.
        super().__init__(name="sso-housekeeping", daemon=True)
        self._store = store
        self._clock = clock
        self._chores = chores
        self._urgent = urgent
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def run(self) -> None:
        while not self._stopping.is_set():
            self._try(self._do_all)
            self._wait()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()
        self.join()

    def _wait(self) -> None:
        """Until it is time for everything again; what is urgent is done meanwhile."""
        until = time.monotonic() + self._interval_seconds
        while (left := until - time.monotonic()) > 0 and self._woken.wait(left) and not self._stopping.is_set():
            if self._stopping.wait(URGENT_AFTER_SECONDS):
                return
            self._woken.clear()  # before the work: whoever wakes us during it has it done once more
            self._try(self._do_urgent)

    def _do_all(self) -> int:
        # The lease stays ours, so that of many processes the same one goes on.
        return _work(self._store, self._holder, self._clock(), self._chores)

    def _do_urgent(self) -> int:
        for chore in self._urgent:
            _try(chore)
        return 0

    def _try(self, work: Callable[[], int]) -> None:
        try:
            deleted = work()
        except StoreError as error:
            logger.warning("housekeeping could not reach the store, and will try again: %s", error)
        except Exception as error:  # a store or a clock of the host's may raise anything
            # Without this thread nothing would ever be deleted again, and nobody would notice.
            _tell_of(error, "housekeeping failed, and will try again")
        else:
            if deleted:
                logger.info("housekeeping deleted %d records that had ended", deleted)
