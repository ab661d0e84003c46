"""A home that grows past its limit, on a real site: its owner reads it, and what fills the disk ends; nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.site import DemoSite
from hub.homes import Home, homes
from hub.settings import load_settings

pytestmark = pytest.mark.slow
Visit = Callable[[DemoSite, str], Any]
MIB = 2**20
LIMIT_MB = 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A site that looks at homes every second, and whose operator is teacher."""
    hub = f'home_mb = {LIMIT_MB}\nhome_look_s = 1\nadmins = ["teacher"]'
    with DemoSite(tmp_path_factory.mktemp("homes"), "process", hub=hub) as found:
        yield found


def until(is_so: Callable[[], bool], what: str, site: DemoSite) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, (
            f"{what}\n{(site.folder / 'var/logs/hub.log').read_text()[-4000:]}"
        )
        time.sleep(0.1)


class Looked:
    """What the service found of alice's home."""

    def __init__(self, site: DemoSite) -> None:
        self.site = site
        self.settings = load_settings(site.folder / "ictlabs.toml")
        self.file = self.settings.places.run / "homes.json"

    def home(self) -> Home | None:
        return homes(self.settings).get("alice")

    def again(self, times: int = 3) -> None:
        """Wait until it looked some more times."""
        for _ in range(times):
            before = self.file.stat().st_mtime_ns
            until(lambda before=before: self.file.stat().st_mtime_ns != before, "no more looks", self.site)


def test_a_home_that_fills_the_disk_stops_its_server_and_has_time_to_make_room(
    site: DemoSite, visit: Visit
) -> None:
    alice, teacher = visit(site, "alice"), visit(site, "teacher")
    alice.login()
    teacher.login()
    looked, home = Looked(site), site.folder / "var" / "homes" / "alice"
    alice.start_server()
    until(lambda: looked.home() is not None, "her home is looked at", site)

    def fill(name: str, mib: int) -> None:
        (home / name).write_bytes(os.urandom(mib * MIB))

    def page() -> str:
        return str(alice.http.get("/services/portal/").text)

    def servers() -> dict[str, Any]:
        return dict(alice.api("GET", "users/alice").json()["servers"])

    assert "Your home" not in page()
    fill("one", 17)
    until(lambda: "Your home is nearly full." in page(), "the first notice", site)
    fill("two", 4)
    until(lambda: "Your home is too full." in page(), "the second notice", site)
    looked.again()
    assert servers()["base"]["ready"], "what is a little over the limit goes on"
    administration = teacher.http.get("/services/portal/administration").text
    assert "Homes over the limit" in administration
    assert "Too much in their homes" in teacher.http.get("/services/portal/courses/ict101").text

    fill("three", 6)
    until(lambda: not servers(), "her server is stopped", site)
    until(lambda: "Your server was stopped on" in page(), "and she reads why", site)
    alice.start_server()
    looked.again()
    assert servers()["base"]["ready"], "she may start it again to make room"
    fill("four", 3)
    until(lambda: not servers(), "and is stopped when it grows on", site)

    alice.start_server()
    for name in ("one", "two", "three", "four"):
        assert (home / name).exists(), "nothing was taken"
        (home / name).unlink()
    until(lambda: "Your home" not in page(), "the notice goes", site)
    looked.again()
    assert servers()["base"]["ready"]
    alice.stop_server()


def test_one_file_grows_no_larger_than_a_home_may(site: DemoSite, visit: Visit) -> None:
    bob = visit(site, "bob")
    bob.login()
    bob.start_server()
    bob.http.get("/user/bob/base/lab")  # the hub lets him in
    token = next(c.value for c in bob.http.cookies.jar if c.name == "_xsrf" and "/user/" in c.path)

    def save(mib: int) -> Any:
        note = {"type": "file", "format": "text", "content": "x" * (mib * MIB)}
        return bob.http.put(
            f"/user/bob/base/api/contents/{mib}.txt", json=note, headers={"X-XSRFToken": token}
        )

    fits, not_ = save(2), save(LIMIT_MB + 1)
    bob.stop_server()

    assert fits.status_code == 201, fits.text
    assert not_.status_code == 500
    home = site.folder / "var" / "homes" / "bob"
    assert (home / f"{LIMIT_MB + 1}.txt").stat().st_size == LIMIT_MB * MIB
