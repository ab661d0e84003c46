"""One token lets monitoring read the numbers of hub and portal, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.site import DemoSite


@pytest.mark.slow
def test_the_monitorings_token_reads_numbers_and_nothing_of_anybody(process_site: DemoSite) -> None:
    token = (process_site.folder / "var" / "secrets" / "metrics_token").read_text().strip()
    with httpx.Client(base_url=process_site.url, headers={"Authorization": f"Bearer {token}"}) as client:
        hub, portal = client.get("/hub/metrics"), client.get("/services/portal/metrics")
        others = [
            client.get(f"/hub/api/{path}").status_code for path in ("users", "groups", "proxy", "services")
        ]
        without = httpx.get(f"{process_site.url}/hub/metrics").status_code

    assert "jupyterhub_running_servers" in hub.text
    assert "ictlabs_jobs" in portal.text
    assert set(others) == {403}
    assert without == 403
