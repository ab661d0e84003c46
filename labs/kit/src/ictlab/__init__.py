"""The student's side of ICT Labs: the only thing of ours inside lab images.

import ictlab
ictlab.reset()      # a fresh start: the untouched lab back, your work kept beside it
"""

from __future__ import annotations

from ictlab.restart import ResetError, reset

__all__ = ["ResetError", "reset"]
