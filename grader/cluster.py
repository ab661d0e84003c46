"""Where grading runs: Dask workers on this machine, or those of a scheduler that the operator names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from multiprocessing import forkserver
from typing import Any

from grader.settings import GraderSettings

log = logging.getLogger(__name__)

CLOSE_S = 10  # for a worker to leave in good order
STEADY = "grader.steadyclock"  # imported here before there is a client, and in each worker and scheduler before it is one


class ClusterError(Exception):
    """No workers; the message says what to do."""


def worker_count(settings: GraderSettings) -> int:
    """Worker processes of a job on this machine."""
    return settings.workers or len(os.sched_getaffinity(0))


def get_ready() -> None:
    """Begin to import what workers need, in a process that they are forked from, while this one does its own."""
    os.environ.setdefault(
        "DASK_LOGGING__DISTRIBUTED", "error"
    )  # Dask reads it when it is imported; its INFO is no news
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distributed", "distributed.nanny", "distributed.worker", "grader.work"])
    forkserver.ensure_running()


@contextlib.contextmanager
def open_client(settings: GraderSettings) -> Iterator[Any]:
    """Yield a distributed.Client with workers behind it. Raises ClusterError."""
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
    import dask  # takes half a second: only a job that has something to grade pays for it
    from distributed import Client

    import_module(STEADY)
    quiet = {
        "distributed.worker.daemon": True,
        "distributed.admin.tick.interval": "1s",  # no event loop of ours needs to be watched 50 times a second
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.work-stealing": False,  # tasks are handed out a few at a time
        "distributed.comm.timeouts.connect": "5s",  # so long a result is asked for from a worker that was killed
        "distributed.scheduler.allowed-failures": 2,
        "distributed.scheduler.worker-ttl": None,  # by the time of day: a clock set forward would end every worker
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.scheduler.http.routes": [],  # they ask nobody for a certificate
        "distributed.worker.http.routes": [],
        "distributed.worker.memory.target": False,  # nothing large is kept in a worker
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
    }
    with dask.config.set(quiet):
        if settings.scheduler:
            with _remote(settings) as client:
                yield client
            return
        with _started(settings) as cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]
            yield client


def _started(settings: GraderSettings) -> Any:
    """Workers on this machine, forked; where they cannot be forked, started one by one, which takes a second longer."""
    try:
        return _local(settings, "forkserver")
    except RuntimeError as error:  # of Dask, with the cause in its traceback
        found = _forget_forkserver()
        log.warning("workers cannot be forked (%s %s), so they are started one by one", error, found)
    try:
        return _local(settings, "spawn")
    except RuntimeError as error:
        raise ClusterError(
            f"no grading workers could be started on this machine: {error} Look for memory and processes that are "
            f"used up, then grade again. ({found.capitalize()}.)"
        ) from error


def _local(settings: GraderSettings, method: str) -> Any:
    """method: how multiprocessing starts a worker, "forkserver" or "spawn"."""
    import dask
    from distributed import LocalCluster

    # Whoever reaches a scheduler can run anything as its workers, and students may reach the loopback:
    # only who has this run's own certificate gets in.
    with dask.config.set({"distributed.worker.multiprocessing-method": method}):
        return LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=worker_count(settings),
            threads_per_worker=settings.slots,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=_of_one_run(),
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            silence_logs=50,
            preload=[STEADY],
        )


def _of_one_run() -> Any:
    """What lets in only this run's own processes: Security.temporary, but valid at any time.

    That one is valid from the moment it is made: a clock that is set back meanwhile would leave workers outside.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from distributed.security import Security

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ictlabs-grading")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    cert = certificate.public_bytes(pem).decode()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none).decode()
    parts = {f"tls_{role}_cert": cert for role in ("scheduler", "worker", "client")}
    parts |= {f"tls_{role}_key": secret for role in ("scheduler", "worker", "client")}
    return Security(require_encryption=True, tls_ca_file=cert, **parts)  # type: ignore[no-untyped-call]


def _forget_forkserver() -> str:
    """Let the next try start another process to fork workers from; returns what became of this one.

    Python itself starts another one only when it sees that the old one is gone, and not while that one lies dying, or
    lives and answers nobody. The pipe that keeps it alive is left open: its number may be somebody else's by now.
    """
    server: Any = forkserver._forkserver  # there is no other way to it
    pid, server._forkserver_pid = server._forkserver_pid, None
    if pid is None:
        return "it was not started"
    try:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return f"what they are forked from ended with {os.waitstatus_to_exitcode(status)}"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except OSError as error:
        return f"what they are forked from: {error.strerror}"
    return "what they are forked from was there and answered nobody"


@contextlib.contextmanager
def _remote(settings: GraderSettings) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(settings.scheduler, security=security(settings), timeout=20)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"grader.scheduler {settings.scheduler}: no answer ({error}). Start it, or leave the setting empty."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise ClusterError(
                f"grader.scheduler {settings.scheduler}: it has no workers. `ict worker {settings.scheduler}` starts one."
            )
        yield client


async def serve(settings: GraderSettings) -> None:
    """Be workers of the scheduler in the settings until SIGINT or SIGTERM, each in a process that is replaced."""
    from distributed import Nanny

    import_module(STEADY)
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)

    workers: list[Any] = [
        Nanny(
            settings.scheduler,
            nthreads=settings.slots,
            security=security(settings),
            memory_limit=0,
            preload=[STEADY],
        )
        for _ in range(worker_count(settings))
    ]
    lives = asyncio.ensure_future(_live(workers))
    stop = asyncio.ensure_future(told.wait())
    await asyncio.wait([lives, stop], return_when=asyncio.FIRST_COMPLETED)
    if stop.done():  # the scheduler gives what they were at to others
        await asyncio.gather(*(worker.close(timeout=CLOSE_S, reason="stopped") for worker in workers))
    stop.cancel()
    await lives


async def _live(workers: list[Any]) -> None:
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


def security(settings: GraderSettings) -> Any:
    """The certificates for tls://, or None."""
    if not settings.scheduler.startswith("tls://"):
        return None
    from distributed.security import Security

    named = {"tls_ca": settings.tls_ca, "tls_cert": settings.tls_cert, "tls_key": settings.tls_key}
    if missing := [name for name, file in named.items() if not file]:
        raise ClusterError(f"grader.{missing[0]}: needed for {settings.scheduler}. Name the file.")
    return Security(
        require_encryption=True,
        tls_ca_file=settings.tls_ca,
        tls_client_cert=settings.tls_cert,
        tls_client_key=settings.tls_key,
        tls_worker_cert=settings.tls_cert,
        tls_worker_key=settings.tls_key,
    )  # type: ignore[no-untyped-call]
