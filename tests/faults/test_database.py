"""kill -9 of PostgreSQL in the middle of submissions and grading: what it had taken is there when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import postgresql
from benchmarks.people import COURSE

pytestmark = pytest.mark.slow


def test_a_killed_postgresql_loses_nothing_and_the_site_goes_on_when_it_is_back(
    open_school: Any, waiting: Any, tmp_path: Path, missing: Callable[[str, str], None]
) -> None:
    if postgresql.binaries() is None:
        missing("no PostgreSQL server here", "apt-get install postgresql")
    with postgresql.cluster() as cluster:
        url = postgresql.new_database(cluster)
        with open_school(tmp_path, "process", site=f'database_url = "{url}"') as school:
            with school.at_work():
                (job,) = school.store.jobs(COURSE, "sums", only_open=True)
                postgresql.kill(cluster)
                before = len(school.refused)
                waiting(lambda: len(school.refused) >= before + 4, "refusals while it is away")
                refused = school.refused[before:]
                health = httpx.get(f"{school.site.url}/services/portal/health", timeout=30)
                postgresql.start(cluster)
                school.go_on()
            waiting(lambda: not school.store.jobs(COURSE, only_open=True), "the job's end")

            school.assert_nothing_lost()
            assert health.status_code == 503
            assert health.json()["hub"] == "ok"
            assert health.json()["database"] in ("cannot be read", "does not answer")
            # `ict grade` ended with its database, and went on with it
            assert school.store.job(job.id).starts >= 2
            assert [said for said in refused if "nothing was taken" not in said and "503" not in said] == []
            assert "OperationalError" in school.log("hub")
            assert f"job {job.id} of sums has no process any more; starting it again" in school.log("hub")
