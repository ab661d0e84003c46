"""Students' servers as containers: DockerSpawner, with walls, progress and without its known faults."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import docker
from docker.types import Ulimit
from dockerspawner import DockerSpawner
from traitlets import default

from grader.ownership import site_gid, site_uid
from grader.sandbox.seccomp import MASKED_PATHS, profile_json
from hub.images import name_files
from hub.launch import INSIDE_HOME, LaunchPlan
from hub.settings import Settings
from hub.site import SiteError, site_label
from hub.spawners.base import LabSpawner, StartFailed

SITE_LABEL, PERSON_LABEL, ENVIRONMENT_LABEL = "ictlabs.site", "ictlabs.person", "ictlabs.environment"
# A new /proc may be mounted only where the present one is not covered in places. Nothing runs as root in there.
NESTED = {"host_config": {"MaskedPaths": list(MASKED_PATHS), "ReadonlyPaths": []}}
WRITABLE_MB = {"/tmp": 256, "/var/tmp": 64}  # noqa: S108 (the container's own), in memory
THREADS = 16  # DockerSpawner has one: a slow `docker stop` would keep everybody waiting


def ensure_network(settings: Settings) -> str:
    """Make the network of students' containers if it is missing; return its gateway, where the site listens.

    Containers on it cannot reach each other, and nothing outside unless hub.internet is set.
    """
    name = network_name(settings)
    client = docker.from_env(timeout=30)
    try:
        try:
            network = client.networks.get(name)
        except docker.errors.NotFound:
            network = client.networks.create(
                name,
                driver="bridge",
                internal=not settings.hub.internet,
                options={"com.docker.network.bridge.enable_icc": "false"},
                labels={SITE_LABEL: site_label(settings)},
            )
        if network.attrs["Options"].get("com.docker.network.bridge.enable_icc") != "false":
            raise SiteError(
                f"the Docker network {name} lets containers reach each other. Set hub.network to another name."
            )
        return str(network.attrs["IPAM"]["Config"][0]["Gateway"])
    except docker.errors.APIError as error:
        raise SiteError(f"the Docker network {name} cannot be made: {error.explanation}") from error
    finally:
        client.close()


def network_name(settings: Settings) -> str:
    """The network's name; with a way to the internet it is another network."""
    return settings.hub.network + ("-internet" if settings.hub.internet else "")


def sweep(settings: Settings, known: set[str]) -> list[str]:
    """Remove this site's containers whose ids are not `known`: left by a hub that was killed. Returns their names."""
    client = docker.from_env(timeout=60)
    try:
        label: dict[str, Any] = {"label": f"{SITE_LABEL}={site_label(settings)}"}
        orphans = [
            c
            for c in client.containers.list(all=True, ignore_removed=True, filters=label)
            if c.id not in known
        ]
        for orphan in orphans:
            orphan.remove(force=True, v=True)
        return [str(orphan.name) for orphan in orphans]
    finally:
        client.close()


def remove_network(settings: Settings) -> None:
    """Remove the network if nothing uses it."""
    client = docker.from_env(timeout=30)
    try:
        client.networks.get(network_name(settings)).remove()
    except docker.errors.APIError:
        pass  # somebody uses it, or it is gone
    finally:
        client.close()


def labels(launch: LaunchPlan) -> dict[str, str]:
    """Whose server a container is."""
    return {
        SITE_LABEL: launch.label,
        PERSON_LABEL: launch.person,
        ENVIRONMENT_LABEL: launch.environment,
    }


def file_limits(launch: LaunchPlan) -> list[Ulimit]:
    """One file may be as large as the home may become: what writes on and on ends there."""
    most = launch.file_mb * 2**20
    return [Ulimit(name="fsize", soft=most, hard=most)] if most else []


@functools.cache
def _engine() -> docker.DockerClient:
    """One for all starts: making a client costs as much as what it is asked."""
    return docker.from_env(timeout=30)


class LabDockerSpawner(LabSpawner, DockerSpawner):
    """One container a person and environment."""

    _executor: ClassVar[ThreadPoolExecutor | None] = None
    environment: dict[str, Any]

    @property
    def executor(self) -> ThreadPoolExecutor:
        """Threads for calls to the Engine, shared by all spawners."""
        cls = LabDockerSpawner
        if cls._executor is None:
            cls._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        return cls._executor

    def names_folder(self) -> Path:
        """Where files that are mounted into containers lie."""
        return Path(self.settings.places.run / "names")

    def _lay_names(self, launch: LaunchPlan) -> dict[str, dict[str, str]]:
        """Mounts that give the container's id a name; none where it has one."""
        files = name_files(_engine(), launch.image, site_uid(), site_gid(), self.names_folder())
        return {str(file): {"bind": inside, "mode": "ro"} for inside, file in files.items()}

    def _init_traits(self, launch: LaunchPlan) -> None:
        self.image = launch.image
        self.pull_policy = "never"  # a pull would block the hub and is never wanted in class
        self.remove = True
        self.use_internal_ip = True
        self.network_name = network_name(self.settings)
        self.mem_limit = f"{launch.memory_mb}M"
        self.cpu_limit = launch.cpus
        self.volumes = {str(launch.home): str(INSIDE_HOME)} | {
            str(folder): str(INSIDE_HOME / "courses" / course) for course, folder in launch.courses.items()
        }
        self.notebook_dir = str(INSIDE_HOME)
        self.environment = {**self.environment, **launch.env, "HOME": str(INSIDE_HOME), "USER": "student"}
        self.extra_create_kwargs = {
            "user": f"{site_uid()}:{site_gid()}",
            "labels": labels(launch),
            "hostname": launch.environment,
        } | (NESTED if launch.nested else {})
        self.extra_host_config = {
            # a container that dies would take its last words with it; stop() and the next start() remove it
            "auto_remove": False,
            "init": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges", *self._profiles(launch)],
            "memswap_limit": launch.memory_mb * 2**20,  # else as much again in swap, which all would wait for
            "pids_limit": launch.pids,
            "ulimits": file_limits(launch),
            "read_only": True,  # what a student writes is in the home, or in memory and counted as such
            "tmpfs": {place: f"size={size}m,mode=1777" for place, size in WRITABLE_MB.items()},
            "ipc_mode": "private",
            "log_config": {"type": "json-file", "config": {"max-size": "5m", "max-file": "1"}},
        }

    def _profiles(self, launch: LaunchPlan) -> list[str]:
        """Docker's own filters, or, where people make namespaces of their own, ours."""
        return [f"seccomp={profile_json(nested=True)}"] if launch.nested else []

    @default("prefix")
    def _site_prefix(self) -> str:
        # two sites may share an Engine: without this, one would remove the other's containers of the same person
        return f"ictlabs-{site_label(self.settings)}"

    async def start(self) -> tuple[str, int]:
        """Start the container and wait until the server in it answers."""
        self._stages.clear()
        launch = self.launch_plan()
        self.stage(5, "Preparing your home")
        self.prepare_home(launch)
        self._init_traits(launch)
        self.stage(15, "Creating the container")
        try:
            names = await asyncio.wrap_future(self.executor.submit(self._lay_names, launch))
            self.volumes = dict[str, Any](self.volumes) | names
            ip, port = await super().start()
        except docker.errors.ImageNotFound as error:
            raise StartFailed(
                f"The image {launch.image} is not on this server. Tell your instructor: ict images build {launch.environment}",
                reason="image",
                status_code=503,
            ) from error
        except (docker.errors.DockerException, OSError) as error:  # what requests raises comes through
            raise StartFailed(
                "The container could not be started. Try again; if it happens twice, tell your instructor.",
                reason="engine",
                status_code=503,
                log_message=f"{self.user.name}/{self.name}: {error}",
            ) from error
        self.stage(40, "The container runs")
        await self.wait_until_ready(ip, port)
        return ip, port

    async def get_object(self) -> Any:
        """Look at the container. An Engine that is in trouble is not a container that is gone."""
        try:
            found = await self.docker(f"inspect_{self.object_type}", self.object_name)
        except docker.errors.NotFound:
            self.object_id = ""
            return None
        self.object_id = found[self.object_id_key]
        return found

    async def poll(self) -> Any:
        """None while it runs. While the Engine does not answer, the last answer stands: running."""
        try:
            return await super().poll()
        except (docker.errors.DockerException, OSError) as error:
            self.log.warning("The Docker Engine does not answer: %s", error)
            return None if self.object_id else 0

    async def last_words(self) -> str:
        """The end of the container's log."""
        try:
            words = await self.docker("logs", self.object_name, tail=30)
        except docker.errors.DockerException as error:
            return f"(no log: {error})"
        return str(words.decode(errors="replace")[-4000:])
