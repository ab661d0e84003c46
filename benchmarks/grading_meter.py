"""What a run costs the whole machine: containers and kernels are nobody's children, so nothing less would do."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SAMPLE_S = 0.1
STAT = Path("/proc/stat")
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Cost:
    """Wall time, busy time of all cores, and the largest drop of available memory meanwhile."""

    seconds: float
    cpu_s: float
    peak_memory_mb: float


def busy_s(stat: str, ticks: int) -> float:
    """Seconds that all cores together were busy since boot, from the text of /proc/stat."""
    values = [int(value) for value in stat.split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = values[
        :7
    ]  # steal is another machine's; guest is in user
    return (user + nice + system + irq + softirq) / ticks


def available_mb(meminfo: str) -> float:
    """Memory that a new program could have, in MB, from the text of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"{MEMINFO}: no line MemAvailable. Linux 3.14 or newer is needed.")


class Meter:
    """Measures while it is entered; afterwards `cost` has it."""

    def __enter__(self) -> Meter:
        self._done = threading.Event()
        self._before_mb = self._least_mb = available_mb(MEMINFO.read_text())
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        self._busy_s = self._busy()
        self._began = time.perf_counter()
        return self

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self._least_mb = min(self._least_mb, available_mb(MEMINFO.read_text()))

    @staticmethod
    def _busy() -> float:
        return busy_s(STAT.read_text(), os.sysconf("SC_CLK_TCK"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds, cpu_s = time.perf_counter() - self._began, self._busy() - self._busy_s
        self._done.set()
        self._thread.join()
        self.cost = Cost(seconds, cpu_s, self._before_mb - self._least_mb)
