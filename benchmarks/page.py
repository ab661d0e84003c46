"""What opening a lab costs over a slow line: bytes and seconds to an interactive notebook, stock beside ours, in one run.

    python -m benchmarks.page [--lab net-subnetting] [--kbit 1000] [--latency-ms 200] [--image-prefix ictlabs]

prints one JSON line: {"visits": {"stock": {"cold": {...}, "warm": {...}}, "ours": ..., "ours_light": ...}, "ratio": ...}.
A visit is a student whose server runs, on the way to the lab's notebook, until its kernel is idle (idle_s) and then its
first cell of code has run (seconds). kb and requests: what came over the line, by Chromium's own count of encoded bytes;
what it had kept counts nothing, and messages of WebSockets are not in it. server_cpu_s: CPU of the student's container
meanwhile, the kernel's included. cold: the first visit in a new profile of Chromium; warm: of five later ones in it, each
after the kernel was ended, the one whose seconds are in the middle. The line is Chromium's emulation: all its requests
share the bandwidth, each answer waits the latency.
ours_light is what the portal offers beside Start for a slow line, Notebook 7. ratio: divided by stock's of the same kind.

Stock is as benchmarks/spawn.py has it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from nbformat import writes
from playwright.sync_api import BrowserContext, Page, sync_playwright

from benchmarks.journey import CHROMIUM, COURSE
from benchmarks.site import DemoSite
from benchmarks.spawn import PASSWORD, STOCK_IMAGE, Side, build_stock_image, stock
from hub.images import image_name
from hub.settings import Settings, load_settings
from hub.site import site_label
from labs.build import release_notebook
from labs.library import Library

STUDENT = "alice"
WARM = 5  # visits with what the browser has kept
PATIENCE_S = 900  # for a visit, on a busy machine
END_KERNELS = """async () => {
  const page = JSON.parse(document.getElementById('jupyter-config-data').textContent);
  const headers = {Authorization: 'token ' + page.token};
  const sessions = page.baseUrl + 'api/sessions';
  for (const each of await (await fetch(sessions, {headers})).json())
    await fetch(sessions + '/' + each.id, {method: 'DELETE', headers});
}"""


@dataclass
class Door:
    """A running server of the student, and how its lab is opened."""

    side: Side
    password: str
    lab_url: str


@dataclass
class Line:
    """How slow it is."""

    kbit: int
    latency_ms: int


class Meter:
    """Counts what comes over the line of a page, which it makes slow."""

    def __init__(self, page: Page, line: Line) -> None:
        self.requests = 0
        self.bytes = 0
        session = page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", lambda event: self._count(event["encodedDataLength"]))
        session.on("Network.requestWillBeSent", self._redirected)
        session.send("Network.enable")
        bytes_a_second = line.kbit * 1000 / 8
        session.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": line.latency_ms,
                "downloadThroughput": bytes_a_second,
                "uploadThroughput": bytes_a_second,
            },
        )

    def _redirected(self, event: dict[str, Any]) -> None:
        if "redirectResponse" in event:
            self._count(event["redirectResponse"]["encodedDataLength"])

    def _count(self, encoded: float) -> None:
        """One answer; one that the browser had kept is of no bytes."""
        if encoded:
            self.requests += 1
            self.bytes += int(encoded)


@contextlib.contextmanager
def profile() -> Iterator[BrowserContext]:
    """Chromium with a new profile."""
    with tempfile.TemporaryDirectory(prefix="ictlabs-profile-") as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder,
            executable_path="/usr/bin/chromium",
            args=CHROMIUM,
            viewport={"width": 1280, "height": 860},
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        try:
            yield context
        finally:
            context.close()


def visits(engine: docker.DockerClient, door: Door, line: Line) -> dict[str, Any]:
    """Open the lab again and again in one new profile."""
    made = []
    with profile() as context:
        _log_in(context, door)
        for _ in range(1 + WARM):
            made.append(_visit(engine, context, door, line))
            print(f"{door.lab_url}: {made[-1]}", file=sys.stderr)
    cold, *warm = made
    return {"cold": cold, "warm": sorted(warm, key=lambda each: float(each["seconds"]))[WARM // 2]}


def _log_in(context: BrowserContext, door: Door) -> None:
    page = context.new_page()
    page.goto(f"{door.side.url}/hub/login?next=%2Fhub%2Fhome")
    page.locator("input[name=username]").fill(STUDENT)
    page.locator("input[name=password]").fill(door.password)
    page.locator("input[type=submit], button[type=submit]").first.click()
    page.wait_for_load_state()
    page.goto("about:blank")


def _visit(engine: docker.DockerClient, context: BrowserContext, door: Door, line: Line) -> dict[str, Any]:
    page = context.new_page()
    page.goto("about:blank")
    meter, cpu_before = Meter(page, line), _cpu_s(engine, door.side)
    began = time.perf_counter()
    kernel = _heard(page)
    page.goto(door.lab_url, wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    while not kernel:  # the page says idle before it has a kernel: the kernel itself must have said so
        page.wait_for_timeout(50)
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError(f"{door.lab_url}: there was no kernel")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    idle_s = time.perf_counter() - began
    _run_first_code(page)
    found = {
        "kb": round(meter.bytes / 1000),
        "requests": meter.requests,
        "idle_s": round(idle_s, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "server_cpu_s": round(_cpu_s(engine, door.side) - cpu_before, 2),
    }
    page.evaluate(END_KERNELS)
    page.close(run_before_unload=False)
    return found


def _heard(page: Page) -> list[str]:
    """A list that gets an entry as soon as a kernel says that it is idle."""
    said: list[str] = []

    def hear(message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if '"execution_state"' in text and '"idle"' in text:
            said.append("idle")

    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", hear) if "/channels" in socket.url else None,
    )
    return said


def _run_first_code(page: Page) -> None:
    """Go down from the first cell, as one does with Shift+Enter, until a cell of code has run."""
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Escape")
    ran, number = page.locator(".jp-CodeCell .jp-InputPrompt", has_text=re.compile(r"\[\d+\]")), 0
    while True:
        here = page.locator(f'.jp-Cell.jp-mod-selected[data-windowed-list-index="{number}"]')
        here.wait_for()
        of_code = "jp-CodeCell" in (here.get_attribute("class") or "")
        page.keyboard.press("Shift+Enter")
        if of_code:
            ran.first.wait_for(state="attached")  # the code of a first cell is often folded away
            return
        number += 1


def _cpu_s(engine: docker.DockerClient, side: Side) -> float:
    (container,) = engine.containers.list(filters=side.container_filter)
    stats = container.stats(stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def _start(side: Side, password: str) -> None:
    """Have the student's server started, by a browser of its own that keeps nothing for the visits."""
    with profile() as context:
        _log_in(context, Door(side, password, ""))
        token = next(
            each.get("value", "")
            for each in context.cookies()
            if each.get("name") == "_xsrf" and each.get("path") == "/hub/"
        )
        headers, user = {"X-XSRFToken": token}, f"{side.url}/hub/api/users/{STUDENT}"
        asked = context.request.post(f"{user}/{side.api_server}", headers=headers)
        if asked.status not in (201, 202):
            raise RuntimeError(f"no server of {side.url}: {asked.status} {asked.text()[:500]}")
        name = side.api_server.partition("/")[2]
        for _ in range(600):
            servers = context.request.get(user, headers=headers).json()["servers"]
            if servers.get(name, {}).get("ready"):
                return
            time.sleep(0.2)
    raise TimeoutError(f"the student's server of {side.url} did not start")


@contextlib.contextmanager
def stock_door(engine: docker.DockerClient, folder: Path, lab: str, image: str) -> Iterator[Door]:
    """Stock JupyterHub, with the lab's notebook in the student's home."""
    with stock(engine, folder, Settings(), image) as side:
        _start(side, PASSWORD)
        (container,) = engine.containers.list(filters=side.container_filter)
        text = writes(release_notebook(Library().labs()[lab])).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo(f"{lab}.ipynb")
            member.size, member.uid, member.gid = len(text), 1000, 1000
            archive.addfile(member, io.BytesIO(text))
        container.put_archive("/home/student", packed.getvalue())
        yield Door(side, PASSWORD, f"{side.url}/user/{STUDENT}/lab/tree/{lab}.ipynb")


@contextlib.contextmanager
def our_door(folder: Path, lab: str, image_prefix: str) -> Iterator[Door]:
    """A demo site of ours, which has the lab released; the address is the one that Start leads to."""
    with DemoSite(folder, "docker", hub=f'image_prefix = "{image_prefix}"') as site:
        environment = Library().labs()[lab].environment
        label = f"ictlabs.site={site_label(load_settings(folder / 'ictlabs.toml'))}"
        side = Side(site.url, site.process.pid, f"servers/{environment}", {"label": label})
        _start(side, site.passwords[STUDENT])
        home = f"{site.url}/user/{STUDENT}/{environment}"
        yield Door(side, site.passwords[STUDENT], f"{home}/ictlab/open?course={COURSE}&lab={lab}")


def ratios(ours: dict[str, Any], stock: dict[str, Any]) -> dict[str, Any]:
    """Ours by stock's, of each kind of visit."""
    return {
        kind: {name: round(ours[kind][name] / stock[kind][name], 3) for name in ("kb", "requests", "seconds")}
        for kind in stock
    }


def measure(lab: str, line: Line, image_prefix: str) -> dict[str, Any]:
    """All visits and their ratios."""
    engine = docker.from_env(timeout=120)
    image = image_name(Settings.model_validate({"hub": {"image_prefix": image_prefix}}), "base")
    doors: dict[str, Callable[[Path], contextlib.AbstractContextManager[Door]]] = {
        "stock": lambda folder: stock_door(engine, folder, lab, build_stock_image(engine, image)),
        "ours": lambda folder: our_door(folder, lab, image_prefix),
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ictlabs-page-") as name:
        for kind, opened in doors.items():
            folder = Path(name) / kind
            folder.mkdir()
            with opened(folder) as door:
                found[kind] = visits(engine, door, line)
                if kind == "ours":
                    door.lab_url += "&view=notebook"
                    found["ours_light"] = visits(engine, door, line)
    engine.images.remove(STOCK_IMAGE)
    ours = {kind: ratios(each, found["stock"]) for kind, each in found.items() if kind != "stock"}
    return {"visits": found, "ratio": ours}


def main() -> int:
    """Print the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", default="net-subnetting")
    parser.add_argument("--kbit", type=int, default=1000, help="the line's bandwidth, both ways")
    parser.add_argument("--latency-ms", type=int, default=200)
    parser.add_argument("--image-prefix", default=Settings().hub.image_prefix)

    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    found = measure(chosen.lab, Line(chosen.kbit, chosen.latency_ms), chosen.image_prefix)
    print(
        json.dumps(
            found
            | {"lab": chosen.lab, "kbit": chosen.kbit, "latency_ms": chosen.latency_ms}
            | {"load_before": round(load, 2)}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
