"""The student's side of ICT Labs: the only thing of ours inside lab images.

import ictlab
ictlab.reset()      # a fresh start: the untouched lab back, your work kept beside it
ictlab.hand("why?") # your hand is up: an instructor sees it; ictlab.lower_hand() takes it down
"""

from __future__ import annotations

from ictlab.hands import hand, lower_hand
from ictlab.restart import ResetError, reset

__all__ = ["ResetError", "hand", "lower_hand", "reset"]
