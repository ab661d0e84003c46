"""Students' servers on many machines: each a service of Docker Swarm with one task, found again where it moves to."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import docker
from docker.types import ContainerSpec, EndpointSpec, Mount, Placement, Resources, RestartPolicy, TaskTemplate
from dockerspawner import SwarmSpawner
from sqlalchemy.orm import object_session
from traitlets import default

from grader.ownership import site_gid, site_uid
from hub.launch import LaunchPlan
from hub.settings import Settings
from hub.site import Site, SiteError, site_label
from hub.spawners.base import StartFailed
from hub.spawners.docker import (
    SITE_LABEL,
    WRITABLE_MB,
    LabDockerSpawner,
    file_limits,
    labels,
    network_name,
)

REPLACED_S = 1.0  # by then Swarm has made the task that replaces one that failed, or makes none
LOOK_S = 0.1  # between two looks at a task that is coming up
RESERVED_MB = (
    256  # an idle server is half of it: Swarm puts no more of them on a machine than it has memory for
)
NAME_CHARS = 63  # of a service; Docker's limit
DEAD = ("complete", "failed", "rejected", "shutdown", "remove", "orphaned")
# Swarm of API 1.41 cannot ask for no-new-privileges. A process can for itself, and has it and its children keep it.
WITHOUT_NEW_PRIVILEGES = ["setpriv", "--no-new-privs"]


def node_address() -> str:
    """The address by which the other nodes of the swarm know this one. Raises SiteError where there is no swarm."""
    client = docker.from_env(timeout=30)
    try:
        swarm = client.info()["Swarm"]
    finally:
        client.close()
    if not swarm.get("ControlAvailable"):
        raise SiteError(
            "hub.spawner is swarm, but this machine's Engine is no manager of one. Run: docker swarm init "
            "--advertise-addr ADDRESS; docs/operator.md, *Many machines*, has the rest."
        )
    return str(swarm["NodeAddr"])


def check_network(settings: Settings, site: Site) -> None:
    """Refuse a network that lets servers reach each other. Raises SiteError that says how to make the right one."""
    name = network_name(settings)
    client = docker.from_env(timeout=30)
    try:
        network = client.networks.get(name).attrs
        node = client.networks.get(network["ConfigFrom"]["Network"]).attrs if network["ConfigFrom"] else {}
    except docker.errors.NotFound:
        network = node = {}
    finally:
        client.close()
    apart = node.get("Options", {}).get("com.docker.network.bridge.enable_icc") == "false"
    if not (
        apart and network["Driver"] == "bridge" and network["Scope"] == "swarm" and not network["Attachable"]
    ):
        internet = " internet" if settings.hub.internet else ""
        raise SiteError(
            f"the swarm has no network {name} that keeps servers apart. Remove one of that name, then run on every node, "
            f"as root, and on this one last: deploy/swarm-node.sh {site.inner_ip} {site.hub_port},{site.portal_port} "
            f"{name}{internet}"
        )


def sweep(settings: Settings, known: set[str]) -> list[str]:
    """Remove this site's services whose ids are not `known`: left by a hub that was killed. Returns their names."""
    client = docker.from_env(timeout=60)
    try:
        found = client.services.list(filters={"label": f"{SITE_LABEL}={site_label(settings)}"})
        orphans = [service for service in found if service.id not in known]
        api: Any = client.api
        for orphan in orphans:
            api.remove_service(orphan.id)
        return [str(orphan.name) for orphan in orphans]
    finally:
        client.close()


class LabSwarmSpawner(LabDockerSpawner, SwarmSpawner):
    """One service a person and environment, with the walls of a container as far as a service can have them."""

    _launch: LaunchPlan
    _is_starting = False

    @default("object_name")
    def _short_name(self) -> str:
        name = str(self._render_templates(self.name_template))
        if len(name) <= NAME_CHARS:
            return name
        return f"{name[: NAME_CHARS - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    def names_folder(self) -> Path:
        """On the shared folder, where every node has it; no person's name begins with a dot."""
        return Path(self.settings.places.homes / ".names")

    async def start(self) -> tuple[str, int]:
        """Start the service and wait until the server in it answers."""
        self._is_starting = True
        try:
            return await super().start()
        finally:
            self._is_starting = False

    def _init_traits(self, launch: LaunchPlan) -> None:
        if launch.nested:
            raise StartFailed(
                f"The environment {launch.environment} needs networks of its own, which servers on many machines do not "
                "have. Ask your instructor.",
                reason="plan",
                status_code=400,
            )
        super()._init_traits(launch)
        self._launch = launch

    async def create_object(self) -> Any:
        """Create the service."""
        task = TaskTemplate(
            await self._container(),
            resources=self._resources(),
            restart_policy=RestartPolicy(
                condition="on-failure", delay=2 * 10**9, max_attempts=3, window=600 * 10**9
            ),
            placement=Placement(constraints=await self._constraints()),
            networks=[self.network_name],
        )
        # straight to the machine that has it: a port of Swarm's mesh would be open on all of them
        port = {"Protocol": "tcp", "TargetPort": self.port, "PublishMode": "host"}
        endpoint = EndpointSpec(mode="dnsrr", ports=[port])
        return await self.docker(
            "create_service",
            task,
            name=self.object_name,
            labels=labels(self._launch),
            endpoint_spec=endpoint,
        )

    async def _container(self) -> ContainerSpec:
        # by its id: a name would be looked up in a registry, where it may be another's
        image = (await self.docker("inspect_image", self.image))["Id"]
        homes = [
            Mount(bind["bind"], source, type="bind", read_only=bind["mode"] == "ro")
            for source, bind in self.volume_binds.items()
        ]
        memory = [
            Mount(place, None, type="tmpfs", tmpfs_size=size * 2**20, tmpfs_mode=0o1777)
            for place, size in WRITABLE_MB.items()
        ]
        container = ContainerSpec(
            image,
            command=WITHOUT_NEW_PRIVILEGES,
            args=await self.get_command(),
            hostname=self._launch.environment,
            env=self.get_env(),
            user=f"{site_uid()}:{site_gid()}",
            labels=labels(self._launch),
            mounts=[*homes, *memory],
            stop_grace_period=10 * 10**9,
            read_only=True,
            init=True,
            cap_drop=["ALL"],
        )
        container["Ulimits"] = file_limits(self._launch)  # docker-py has no word for it
        return container

    def _resources(self) -> Resources:
        launch = self._launch
        resources = Resources(
            cpu_limit=int(launch.cpus * 1e9),
            mem_limit=launch.memory_mb * 2**20,
            mem_reservation=min(launch.memory_mb, RESERVED_MB) * 2**20,
        )
        resources["Limits"]["Pids"] = launch.pids  # docker-py has no word for it
        return resources

    async def _constraints(self) -> list[str]:
        constraints = list(self.settings.hub.placement.get(self._launch.environment, ()))
        if self._launch.courses:  # course folders are on this machine, with gradebooks that bear no network
            here = (await self.docker("info"))["Swarm"]["NodeID"]
            constraints.append(f"node.id == {here}")
        return constraints

    async def start_object(self) -> None:
        """Wait until some machine runs the task; a task that ends instead is the end of this start."""
        deadline = time.monotonic() + self.settings.hub.start_timeout_s
        waits = False
        while time.monotonic() < deadline:
            task = await self.get_task()
            if task is None or task["Status"]["State"] in DEAD:
                rejected = task and task["Status"]["State"] == "rejected"
                await self.fail(
                    "No machine could run the server"
                    if rejected
                    else "The server stopped while it was starting"
                )
            if task["Status"]["State"] == "running":
                return
            if not waits and task["Status"]["State"] == "pending" and task["Status"].get("Err"):
                waits = True
                self.stage(20, "Waiting for a machine that has room")
            await asyncio.sleep(LOOK_S)
        await self.fail(
            "No machine had room for the server" if waits else "No machine started the server in time"
        )

    async def get_task(self) -> Any:
        """The newest task of the service; while it starts, the first that ended counts, not what Swarm makes after it."""
        if await self.get_object() is None:
            return None
        tasks = sorted(
            await self.docker("tasks", filters={"service": self.object_id}),
            key=lambda task: task["CreatedAt"],
        )
        ended = [task for task in tasks if task["Status"]["State"] in DEAD]
        if self._is_starting and ended:
            return ended[0]
        return tasks[-1] if tasks else {"Status": {"State": "new"}}

    async def poll(self) -> Any:
        """None while it runs, or comes up again on another machine, where the proxy is then led to."""
        try:
            task = await self.get_task()
            if task and task["Status"]["State"] in DEAD and not self._is_starting:
                await asyncio.sleep(REPLACED_S)
                task = await self.get_task()
            if task is None:
                return 0
            status = task["Status"]
            if status["State"] in DEAD:
                return f"{status['State']}: {status.get('Err') or status.get('Message', '')}"
            if status["State"] == "running" and not self._is_starting and self.server:
                await self._follow(task)
        except (docker.errors.DockerException, OSError) as error:
            self.log.warning("The swarm does not answer: %s", error)
            return None if self.object_id else 0
        return None

    async def _follow(self, task: dict[str, Any]) -> None:
        ip, port = await self._address(task)
        if (ip, port) == (self.server.ip, self.server.port):
            return
        self.log.info("%s moved to %s:%s", self._log_name, ip, port)
        self.server.ip, self.server.port = ip, port
        self.server.orm_server.ip, self.server.orm_server.port = ip, port
        if session := object_session(self.server.orm_server):
            session.commit()
        try:
            await self.user.settings["proxy"].add_user(self.user, self.name)
        except (
            Exception
        ):  # a server is not down because the proxy is: the hub's check of routes leads it there later
            self.log.exception("The proxy was not told where %s is", self._log_name)

    async def get_ip_and_port(self) -> tuple[str, int]:
        """Address of the machine that has the task, and the port there."""
        return await self._address(await self.get_task())

    async def _address(self, task: dict[str, Any]) -> tuple[str, int]:
        node = await self.docker("inspect_node", task["NodeID"])
        return node["Status"]["Addr"], task["Status"]["PortStatus"]["Ports"][0]["PublishedPort"]

    async def remove_object(self) -> None:
        """Remove the service; the machine that had it stops the container."""
        try:
            await super().remove_object()
        except docker.errors.NotFound:
            self.log.info("%s is gone already", self.object_name)

    async def last_words(self) -> str:
        """What Swarm says of the tasks, and the end of what the server printed."""
        try:
            tasks = await self.docker("tasks", filters={"service": self.object_id})
            told = [
                f"{t.get('NodeID', 'no machine')}: {t['Status']['State']}: {t['Status'].get('Err', '')}"
                for t in tasks
            ]
            # a machine that is down answers nothing
            logs = asyncio.wrap_future(self.executor.submit(self._log_of_service))
            told.append((await asyncio.wait_for(logs, 10)).decode(errors="replace")[-4000:])
        except (docker.errors.DockerException, OSError, TimeoutError) as error:
            return f"(no log: {error})"
        return "\n".join(told)

    def _log_of_service(self) -> bytes:
        return b"".join(
            self.client.service_logs(self.object_id, stdout=True, stderr=True, tail=30, is_tty=False)
        )
