"""More starts than the machine takes at once: they queue, in the order they came, and nobody gets an error.

With the tiny hub of conftest.py, whose servers are made ready by hand.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from grader.people import Person
from hub.portal import starts
from hub.portal.hubclient import HubAway, HubBusy, HubError, HubUser
from hub.portal.starts import Start, Starts
from hub.settings import HubSettings, Settings

STARTING = "starting/base?course=ict101&lab=lab-one"


@dataclass
class SlowHub:
    """A hub of this process: a server is ready when the test says so. It keeps what it was asked."""

    asked: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    up: dict[str, str] = field(default_factory=dict)  # ready, or why it failed
    refusals: list[HubError] = field(default_factory=list)

    async def user(self, token: str, *, fresh: bool = False) -> HubUser:
        up = self.up.get(token)
        pending = None if up else "spawn"
        servers = {"base": {"ready": up == "ready", "pending": pending}} if token in self.asked or up else {}
        return HubUser(Person(token), servers)

    async def start(self, token: str, name: str, server: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.asked.append(name)

    async def stop(self, token: str, name: str, server: str) -> None:
        self.stopped.append(name)

    async def progress(self, token: str, name: str, server: str) -> Any:
        if name in self.asked:
            yield {"progress": 10, "message": "Making the container"}
            if self.up.get(name) == "ready":
                yield {"progress": 100, "ready": True, "message": "Ready"}
            elif name in self.up:
                yield {"failed": True, "message": self.up[name]}


async def until(true: Callable[[], bool]) -> None:
    """Let the starts go on until it is so."""
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


def run(story: Callable[[Starts, SlowHub], Awaitable[None]], at_once: int = 2) -> None:
    async def whole() -> None:
        hub = SlowHub()
        queue = Starts(hub, at_once)  # type: ignore[arg-type]  # what Starts asks of a hub, no more
        try:
            await story(queue, hub)
        finally:
            await queue.close()

    asyncio.run(whole())


async def press(queue: Starts, *names: str) -> list[Start]:
    return [await queue.begin(name, name, "base") for name in names]


def places(queue: Starts, *names: str) -> list[int | None]:
    return [turn.place if (turn := queue.turn(name, "base")) else None for name in names]


def test_five_starts_two_at_once_begin_in_the_order_they_came() -> None:
    names = ["ann", "ben", "cai", "dov", "eve"]

    async def story(queue: Starts, hub: SlowHub) -> None:
        await press(queue, *names)
        assert (hub.asked, places(queue, *names)) == (["ann", "ben"], [None, None, 1, 2, 3])

        hub.up["ben"] = "ready"
        await until(lambda: len(hub.asked) == 3)
        assert (hub.asked[2], places(queue, *names)) == ("cai", [None, None, None, 1, 2])

        hub.up |= dict.fromkeys(["ann", "cai"], "ready")
        await until(lambda: len(hub.asked) == 5)
        assert hub.asked == names
        assert queue.counts() == (2, 0)

    run(story)


def test_a_start_that_fails_makes_room_for_the_next() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        ann, ben = await press(queue, "ann", "ben")
        hub.up["ann"] = "Spawn failed: no image"
        await until(lambda: "ben" in hub.asked)
        assert (ann.state, ann.reason, ben.state) == ("failed", "no image", "starting")

    run(story, at_once=1)


def test_a_hub_that_is_away_fails_one_start_and_not_the_queue() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        hub.refusals = [HubAway("The hub does not answer.")]
        (ann,) = await press(queue, "ann")
        await press(queue, "ben")
        assert (ann.state, ann.reason) == ("failed", "The hub does not answer.")
        assert hub.asked == ["ben"]

    run(story, at_once=1)


def test_pressing_again_keeps_the_place_and_another_server_takes_it_over() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        _, ben, _ = await press(queue, "ann", "ben", "cai")
        assert await queue.begin("ben", "ben", "base") is ben
        other = await queue.begin("ben", "ben", "network")
        assert places(queue, "ben", "cai") == [None, 2]
        assert queue.turn("ben", "network") == starts.Turn(1, None)
        assert (ben.state, other.state) == ("cancelled", "waiting")

    run(story, at_once=1)


def test_who_leaves_the_queue_makes_the_others_move_up() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        await press(queue, "ann", "ben", "cai")
        left = queue.cancel("ben", "base")
        hub.up["ann"] = "ready"
        await until(lambda: len(hub.asked) == 2)
        assert left is not None
        assert left.state == "cancelled"
        assert hub.asked == ["ann", "cai"]
        assert hub.stopped == []

    run(story, at_once=1)


def test_a_start_cancelled_on_its_way_is_stopped_when_it_is_up_unless_wanted_again() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        ann, ben = await press(queue, "ann", "ben")
        queue.cancel("ann", "base")
        queue.cancel("ben", "base")
        await press(queue, "ben")
        hub.up |= dict.fromkeys(["ann", "ben"], "ready")
        await until(lambda: ann.ended and ben.ended)
        assert (ann.state, ben.state, hub.stopped) == ("cancelled", "ready", ["ann"])

    run(story)


def test_nobody_queues_for_a_server_that_runs() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        hub.up["ben"] = "ready"
        _, ben = await press(queue, "ann", "ben")
        assert (ben.state, hub.asked) == ("ready", ["ann"])

    run(story, at_once=1)


def test_a_busy_hub_is_asked_again_and_the_person_hears_nothing_of_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(starts, "_BUSY_S", 0.01)

    async def story(queue: Starts, hub: SlowHub) -> None:
        hub.refusals = [HubBusy("Too many start at once.")] * 3
        (ann,) = await press(queue, "ann")
        hub.up["ann"] = "ready"
        await until(lambda: ann.ended)
        assert (ann.state, ann.reason, hub.asked) == ("ready", "", ["ann"])

    run(story)


def test_a_time_is_told_once_some_starts_were_measured() -> None:
    async def story(queue: Starts, hub: SlowHub) -> None:
        hub.up = dict.fromkeys(["ann", "ben", "cai"], "ready")
        for start in await press(queue, "ann", "ben", "cai"):
            await until(lambda start=start: start.ended)  # type: ignore[misc]
        await press(queue, "dov", "eve")
        turn = queue.turn("eve", "base")
        assert turn is not None
        assert turn.seconds is not None
        assert turn.seconds >= 1

    run(story, at_once=1)


def one_at_a_time(school: Any) -> None:
    school.settings = Settings(
        site=school.settings.site, root=school.settings.root, hub=HubSettings(concurrent_starts=1)
    )


def test_the_page_shows_the_place_and_the_way_out(visit: Any, school: Any, tiny_hub: Any) -> None:
    one_at_a_time(school)
    tiny_hub.events = ['data: {"progress": 40, "message": "Making the container"}\n\n']
    tiny_hub.running = {"alice": {"base": {"ready": False, "pending": "spawn"}}}
    browser = visit("alice")
    browser.post("labs/ict101/lab-one/start")
    browser.client.cookies.clear()  # somebody else sits down at the same portal
    browser.login("bob")

    sent = browser.post("labs/ict101/lab-one/start")
    waiting = browser.get(STARTING)
    again = browser.post("labs/ict101/lab-one/start")
    left = browser.post("servers/base/stop")
    told = browser.get().text

    assert sent.headers["location"].endswith(STARTING)
    assert again.headers["location"].endswith(STARTING)
    assert re.search(r"You are number <strong>1</strong> in the queue", waiting.text)
    assert '<meta http-equiv="refresh" content="2">' in waiting.text
    assert left.headers["location"] == "/services/portal/"
    assert "You left the queue" in told
    assert [each for each in tiny_hub.asked if "bob" in each] == []


def test_a_hub_that_refuses_for_the_moment_is_waited_out(
    visit: Any, tiny_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "_BUSY_S", 0.2)
    tiny_hub.start_status, tiny_hub.start_message = 429, "Too many start at once."
    alice = visit("alice")
    alice.post("labs/ict101/lab-one/start")
    busy = alice.get(STARTING).text
    tiny_hub.start_status = 202
    tiny_hub.events = ['data: {"progress": 100, "ready": true, "message": "Server ready"}\n\n']
    for _ in range(100):
        answer = alice.get(STARTING)
        if answer.status_code == 303:
            break
        time.sleep(0.05)

    assert "Too many start at once." not in busy
    assert "Start again" not in busy
    assert "The hub is busy with the servers of others." in busy
    assert answer.headers["location"] == "/user/alice/base/ictlab/open?course=ict101&lab=lab-one"
