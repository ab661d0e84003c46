"""Seeds of the students' own values: one for each student and lab, the same whenever it is graded."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from grader.keys import open_key

SEED_FILE = ".variant"  # beside the notebook; ictlab.variant reads it


class Variants:
    """Derives seeds from a key of the site: nobody can tell another student's, and none has to be kept."""

    def __init__(self, key: bytes) -> None:
        """Use `key`; see `open` for the site's own."""
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> Variants:
        """Read `folder`/variant_key, or make it once. Lost, students would be graded on values they never saw."""
        path = folder / "variant_key"
        try:
            return cls(open_key(path, lambda: secrets.token_bytes(32)))
        except ValueError as error:
            raise ValueError(f"{path}: not a key of this site. Put it back from the backup.") from error

    def seed(self, course: str, lab: str, username: str) -> str:
        """32 hexadecimal digits."""
        about = "\0".join((course, lab, username)).encode()
        return hmac.new(self._key, about, hashlib.sha256).hexdigest()[:32]
