"""Where students' servers run. A new backend is one file here and one line of SPAWNERS."""

from __future__ import annotations

SPAWNERS = {
    "docker": "hub.spawners.docker.LabDockerSpawner",
    "swarm": "hub.spawners.swarm.LabSwarmSpawner",
    "process": "hub.spawners.process.LabProcessSpawner",
    "process-unjailed": "hub.spawners.process.LabProcessSpawner",
}
