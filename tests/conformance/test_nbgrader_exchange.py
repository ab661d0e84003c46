"""nbgrader's own tests of its exchange, from the installed wheel, against ours.

conftest.py gives them their fixtures; not_applicable.toml lists those that cannot hold.
"""

from __future__ import annotations

from nbgrader.tests.apps.test_nbgrader_collect import TestNbGraderCollect  # noqa: F401 (pytest collects them)
from nbgrader.tests.apps.test_nbgrader_fetch_assignment import TestNbGraderFetch  # noqa: F401
from nbgrader.tests.apps.test_nbgrader_fetchfeedback import TestNbGraderFetchFeedback  # noqa: F401
from nbgrader.tests.apps.test_nbgrader_list import TestNbGraderList  # noqa: F401
from nbgrader.tests.apps.test_nbgrader_releaseassignment import TestNbGraderRelease  # noqa: F401
from nbgrader.tests.apps.test_nbgrader_releasefeedback import TestNbGraderReleaseFeedback  # noqa: F401
from nbgrader.tests.apps.test_nbgrader_submit import TestNbGraderSubmit  # noqa: F401
