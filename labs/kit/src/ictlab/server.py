"""Starts a person's server: JupyterHub's own single-user server, without the parts that only a hub uses.

`python3 -m ictlab.server` takes the arguments of `jupyterhub-singleuser` and is the same program. Importing that one
takes as long as everything else that a start does, because the module that logs requests also imports the hub's pages,
its database and its metrics. None of it is ever called in a single-user server. While JupyterHub's extension is imported,
small modules stand in their places; afterwards they are gone, and who imports SQLAlchemy later gets SQLAlchemy. Should a
JupyterHub of another version want more of them, it is imported in the ordinary way.

Nor are certification authorities read, which aiohttp does when it is imported: JupyterHub asks the hub through it and
nobody else, and a site's servers reach their hub by plain HTTP.
"""

from __future__ import annotations

import contextlib
import gc
import ssl
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any


class _Never(Exception):
    """In place of a class that JupyterHub compares with and nothing here ever makes."""


def _unmeasured(_handler: Any) -> None:
    """Count nothing: a student's server has no metrics of the hub."""


# module -> what is taken from it when JupyterHub's single-user extension is imported
STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "sqlalchemy": {},
    "sqlalchemy.exc": {"SQLAlchemyError": _Never},
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    "jupyterhub.metrics": {"prometheus_log_method": _unmeasured},
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": _Never},
}


def load() -> Any:
    """Import JupyterHub's single-user extension; returns its `main`."""
    laid = {
        name: _module(name, attributes) for name, attributes in STAND_INS.items() if name not in sys.modules
    }
    sys.modules.update(laid)
    try:
        with _without_authorities():
            from jupyterhub.singleuser.extension import main
    except (ImportError, AttributeError):
        for name in [each for each in sys.modules if each.partition(".")[0] == "jupyterhub"]:
            del sys.modules[name]
        _take_up(laid)
        from jupyterhub.singleuser import main
    else:
        _take_up(laid)
    return main


@contextlib.contextmanager
def _without_authorities() -> Iterator[None]:
    """TLS contexts that are made meanwhile trust nobody. Who makes one later gets the system's authorities."""
    before = ssl.SSLContext.set_default_verify_paths
    ssl.SSLContext.set_default_verify_paths = lambda _context: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        ssl.SSLContext.set_default_verify_paths = before  # type: ignore[method-assign]


def _module(name: str, attributes: Mapping[str, Any]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(attributes)
    module.__path__ = []
    return module


def _take_up(laid: Mapping[str, ModuleType]) -> None:
    for name, module in laid.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


if __name__ == "__main__":
    # What is imported stays, so looking for garbage among it is a tenth of the start for nothing.
    gc.disable()
    main = load()
    gc.freeze()
    gc.enable()
    main()
