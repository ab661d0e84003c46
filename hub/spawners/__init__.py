"""Where students' servers run. A new backend is one file here and one line of SPAWNERS."""

from __future__ import annotations

SPAWNERS = {
    "docker": "hub.spawners.docker.LabDockerSpawner",
    "process": "hub.spawners.process.LabProcessSpawner",
    "process-unjailed": "hub.spawners.process.LabProcessSpawner",
}
