"""Builds the images that labs run in, from a registry's Debian or, without a registry, from a Debian mirror."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docker
from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from pydantic import BaseModel, ConfigDict, ValidationError

from hub.settings import Settings
from hub.wholefile import write_whole

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "images"
KIT = ROOT / "labs" / "kit"
LAYER = IMAGES / "layer.sh"  # how an image gets more on top of `base`
SITE = "site"  # what compose.yaml runs: no environment, no lab runs in it
CHECKOUT = (
    "hub",
    "grader",
    "labs",
    "images",
    "jupyterhub_config.py",
    "pyproject.toml",
    "README.md",
)  # in SITE
LEFT_BY_TOOLS = ("__pycache__", ".*")
DEBIAN = "debian:bookworm-slim"
SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PYTHON = "3.11.2"  # bookworm's
INPUTS_LABEL = "ictlabs.inputs"
EXTRAS_LABEL = "ictlabs.extras"  # wheels that an operator's wheelhouse added

Say = Callable[[str], None]


class ImageError(Exception):
    """An image cannot be built; the message says what to do."""


class Environment(BaseModel):
    """An environment's environment.toml: what its servers need beyond others'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    nested: bool = False  # its labs make namespaces of their own
    pids: int = 0  # at least so many processes a server
    memory_mb: int = 0  # at least so much memory a server, in MiB


@dataclass(frozen=True)
class ImageState:
    """An environment and its image, if it is built."""

    environment: str
    name: str
    size_mb: float | None
    current: bool
    id: str = ""  # the Engine's own name of it, without the kind of hash


def environments() -> list[str]:
    """The environments that labs can name: folders of images/ with an environment.toml."""
    return sorted(file.parent.name for file in IMAGES.glob("*/environment.toml"))


def buildable() -> list[str]:
    """The images that can be built, the site's own too: folders of images/ with a Dockerfile."""
    return sorted(file.parent.name for file in IMAGES.glob("*/Dockerfile"))


def environment_of(name: str) -> Environment:
    """What environment.toml says of an environment. Raises ImageError that names the file and the key."""
    file = IMAGES / name / "environment.toml"
    try:
        return Environment.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ImageError(f"{file}: {wrong}. images/README.md explains its keys.") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImageError(f"{file}: {error}. images/README.md explains its keys.") from error


def base_of(environment: str) -> str | None:
    """The environment whose image this one is built on, or None."""
    text = (IMAGES / environment / "Dockerfile").read_text(encoding="utf-8")
    return "base" if re.search(r"^ARG BASE$", text, re.MULTILINE) else None


def image_name(settings: Settings, environment: str) -> str:
    """The image of an environment: PREFIX/ENVIRONMENT:VERSION."""
    return f"{settings.hub.image_prefix}/{environment}:{version('ictlabs')}"


def inputs_hash(environment: str) -> str:
    """SHA-256 over everything of ours that goes into the image: the same inputs need no new build."""
    digest = hashlib.sha256()
    if base := base_of(environment):
        digest.update(inputs_hash(base).encode() + LAYER.read_bytes())
    for folder in (IMAGES / environment, *_sources(environment)):
        for file in sorted(f for f in folder.rglob("*") if f.is_file()) or [folder]:
            if any(fnmatch(part, left) for part in file.relative_to(folder).parts for left in LEFT_BY_TOOLS):
                continue  # two checkouts of one version have the same image
            digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_mode & 0o111:o}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _sources(environment: str) -> list[Path]:
    """What of ours goes into an image beside its own folder."""
    if environment == SITE:
        return [ROOT / name for name in CHECKOUT]
    return [] if base_of(environment) else [KIT]


def states(settings: Settings, client: docker.DockerClient) -> list[ImageState]:
    """What is built, how large it is, and whether it is made from today's inputs."""
    found = []
    for environment in environments():
        name = image_name(settings, environment)
        try:
            image = client.images.get(name)
        except docker.errors.ImageNotFound:
            found.append(ImageState(environment, name, None, False))
            continue
        current = image.labels.get(INPUTS_LABEL) == inputs_hash(environment)
        id_ = str(image.id).partition(":")[2]
        found.append(ImageState(environment, name, image.attrs["Size"] / 1e6, current, id_))
    return found


def build(
    settings: Settings,
    client: docker.DockerClient,
    environment: str,
    *,
    say: Say,
    ca_bundle: Path | None = None,
    mirror: str | None = None,
    wheelhouse: Path | None = None,
    force: bool = False,
) -> str:
    """Build the image of `environment` unless it is there, made from the same inputs; return its name.

    `ca_bundle`: PEM file used while building, in no layer of the result. `mirror`: Debian mirror to bootstrap from
    when no registry answers; when left out, the one this machine's apt uses, else Debian's own. `wheelhouse`: folder
    of wheels: the locked ones are taken from there if they are in it, and those that the environment's optional.in
    names are added. Raises ImageError.
    """
    if environment not in buildable():
        raise ImageError(f"there is no environment {environment}. Known: {', '.join(buildable())}.")
    name = image_name(settings, environment)
    inputs = inputs_hash(environment)
    extras = _extras(environment, wheelhouse, say) if wheelhouse else {}
    with contextlib.suppress(docker.errors.ImageNotFound):
        labels = client.images.get(name).labels
        same = labels.get(INPUTS_LABEL) == inputs
        if wheelhouse:  # without one, an image stays as it is, with what an earlier wheelhouse gave it
            same = same and labels.get(EXTRAS_LABEL, "") == " ".join(sorted(extras))
        if same and not force:
            say(f"{name} is up to date")
            return name
    base = base_of(environment)
    if base:
        beneath = build(
            settings, client, base, say=say, ca_bundle=ca_bundle, mirror=mirror, wheelhouse=wheelhouse
        )
    else:
        beneath = _debian(client, say, mirror)
    with tempfile.TemporaryDirectory(prefix="ictlabs-image-") as folder:
        context = Path(folder)
        shutil.copytree(IMAGES / environment, context, dirs_exist_ok=True)
        (context / "ca").mkdir()
        if ca_bundle:
            shutil.copy(ca_bundle, context / "ca" / "site.crt")
        if base:
            shutil.copy(LAYER, context)
        if (context / "requirements.lock").exists():
            say("downloading Python packages")
            _download_wheels(context, ca_bundle, wheelhouse)
        if wheelhouse and extras:
            say(f"adding from {wheelhouse}: {', '.join(sorted(extras))}")
            (context / "wheelhouse").mkdir()
            for wheel in wheelhouse.glob("*.whl"):
                shutil.copy(wheel, context / "wheelhouse")
            (context / "wheelhouse" / "requirements").write_text(
                "".join(f"{extra}=={number}\n" for extra, number in extras.items()), encoding="utf-8"
            )
        if not base:
            _lay_sources(context, environment, ca_bundle)
        say(f"building {name}")
        labels = {
            INPUTS_LABEL: inputs,
            "ictlabs.environment": environment,
            "ictlabs.version": version("ictlabs"),
            EXTRAS_LABEL: " ".join(sorted(extras)),
        }
        _docker_build(
            client,
            context,
            name,
            say,
            {"buildargs": {"BASE" if base else "DEBIAN": beneath}, "labels": labels},
        )
    size = client.images.get(name).attrs["Size"] / 1e6
    say(f"{name} is ready, {size:.0f} MB")
    return name


def name_files(client: docker.DockerClient, image: str, uid: int, gid: int, folder: Path) -> dict[str, Path]:
    """Lay the image's passwd and group into `folder`, with `student` under these ids; {path inside: file}.

    Containers run as whoever owns the homes. Without a name for that id, `whoami`, `ls -l` and prompts are wrong.
    """
    found = client.images.get(image)
    if f"{uid}:{gid}" == found.attrs["Config"]["User"]:
        return {}
    ids = {"passwd": f"{uid}:{gid}", "group": f"{gid}"}
    files = {f"/etc/{name}": folder / f"{name}-{str(found.id).removeprefix('sha256:')[:16]}" for name in ids}
    if all(file.exists() for file in files.values()):
        return files
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    container = client.containers.create(image)
    try:
        for (inside, file), own in zip(files.items(), ids.values(), strict=True):
            with tarfile.open(fileobj=io.BytesIO(b"".join(container.get_archive(inside)[0]))) as archive:
                member = archive.extractfile(Path(inside).name)
                text = member.read().decode() if member else ""
            text = re.sub(r"^student:x:\d+(:\d+(?=:))?", f"student:x:{own}", text, flags=re.MULTILINE)
            write_whole(file, text)
    finally:
        container.remove(force=True)
    return files


def _debian(client: docker.DockerClient, say: Say, mirror: str | None) -> str:
    """Return the name of a Debian image: there already, pulled, or bootstrapped."""
    ours = f"ictlabs-debian:{SUITE}"
    for name in (DEBIAN, ours):
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
    if mirror is None:
        say(f"pulling {DEBIAN}")
        try:
            client.images.pull(DEBIAN)
            return DEBIAN
        except docker.errors.DockerException:
            say("no registry answers; bootstrapping Debian from a mirror instead (about a minute)")
    _bootstrap(client, ours, mirror)
    return ours


def _bootstrap(client: docker.DockerClient, name: str, mirror: str | None) -> None:
    """Make a minimal Debian with debootstrap and import it as image `name`."""
    if os.geteuid() != 0:
        raise ImageError(
            "no registry answers, and bootstrapping Debian needs root. Run once: sudo .venv/bin/ict images build base"
        )
    if not shutil.which("debootstrap"):
        raise ImageError("no registry answers, and debootstrap is missing. Run: apt-get install debootstrap")
    if not KEYRING.exists():  # debootstrap would go on without checking a signature
        raise ImageError(f"{KEYRING} is missing. Run: apt-get install debian-archive-keyring")
    # too large for a /tmp in memory
    with tempfile.TemporaryDirectory(prefix="ictlabs-debian-", dir="/var/tmp") as folder:
        tree = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}"]
        source = mirror or host_mirror(Path("/etc/apt"))  # else debootstrap knows Debian's own
        command += [SUITE, str(tree), *([source] if source else [])]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            last = (made.stdout + made.stderr).strip().splitlines()[-3:]
            raise ImageError(f"debootstrap failed: {' / '.join(last)}. Is the mirror right? See --mirror.")
        with subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE) as tar:
            repository, tag = name.split(":")
            client.api.import_image_from_stream(tar.stdout, repository=repository, tag=tag)
        if tar.returncode:
            raise ImageError("tar failed while the Debian tree was imported. Is the disk full?")


def host_mirror(apt: Path) -> str | None:
    """The mirror that this machine's own apt uses for our Debian, if it is that Debian."""
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.suffix not in (".list", ".sources") or not file.exists():
            continue
        text = re.sub(
            r"^\s*#.*\n?", "", file.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE
        )
        one_line = rf"^deb\s+(?:\[[^\]]*\]\s+)?(http\S+)\s+{SUITE}\s.*\bmain\b"
        if found := re.search(one_line, text, re.MULTILINE):
            return str(found[1])
        for stanza in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*)$", stanza, re.MULTILINE))
            has = SUITE in fields.get("Suites", "").split() and "main" in fields.get("Components", "").split()
            address = str(fields.get("URIs", "")).split(maxsplit=1)[:1]
            if has and address and address[0].startswith("http"):
                return address[0]
    return None


def _extras(environment: str, wheelhouse: Path, say: Say) -> dict[str, str]:
    """What of the environment's optional.in the wheelhouse has: distribution -> newest version."""
    optional = IMAGES / environment / "optional.in"
    if not optional.exists():
        return {}
    wanted = [
        Requirement(line.split("#")[0])
        for line in optional.read_text(encoding="utf-8").splitlines()
        if line[:1] not in ("#", "")
    ]
    found: dict[str, str] = {}
    for requirement in wanted:
        versions = []
        for wheel in wheelhouse.glob("*.whl"):
            try:
                distribution, number, _, _ = parse_wheel_filename(wheel.name)
            except InvalidWheelFilename as error:
                raise ImageError(f"{wheel}: {error}. Rename it as it was published, or remove it.") from error
            if distribution == canonicalize_name(requirement.name) and number in requirement.specifier:
                versions.append(number)
        if versions:
            found[requirement.name] = str(max(versions))
        else:
            say(f"{wheelhouse} has no {requirement}: left out")
    return found


def _download_wheels(context: Path, ca_bundle: Path | None, wheelhouse: Path | None) -> None:
    """Put every wheel of requirements.lock into context/wheels; hashes are checked by pip."""
    wheels = context / "wheels"
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [
        f"manylinux2014_{machine}"
    ]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--cert", str(ca_bundle)] if ca_bundle else []
    options += ["--find-links", str(wheelhouse)] if wheelhouse else []
    download = [
        *pip,
        "download",
        "--quiet",
        "--no-deps",  # the lock has them all
        "--require-hashes",
        "-r",
        str(context / "requirements.lock"),
        "-d",
        str(wheels),
    ]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON]
    target += [option for name in platforms for option in ("--platform", name)]
    _run([*download, *options, *target], "pip could not download the image's packages")


def _lay_sources(context: Path, environment: str, ca_bundle: Path | None) -> None:
    """Put what is built or taken from here into the context: the kit's wheel, or all that the site runs from."""
    if environment != SITE:
        _build_wheels(context, ["--no-build-isolation", str(KIT)], "the kit could not be built")
        return
    certificates = ["--cert", str(ca_bundle)] if ca_bundle else []
    locked = ["--require-hashes", "-r", str(context / "source.lock")]
    _build_wheels(context, [*certificates, *locked], "a package without a wheel could not be built")
    for source in _sources(SITE):
        to = context / "checkout" / source.name
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns(*LEFT_BY_TOOLS))
        else:
            shutil.copy(source, to)


def _build_wheels(context: Path, what: list[str], problem: str) -> None:
    """Put wheels that are built here into context/wheels."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    _run([*pip, "-w", str(context / "wheels"), *what], problem)


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[
            -3:
        ]
        raise ImageError(
            f"{problem}: {' '.join(errors)[:800]}. Is the package index reachable? A site's CA: --ca-bundle."
        )


def _docker_build(
    client: docker.DockerClient, context: Path, name: str, say: Say, options: dict[str, Any]
) -> None:
    stream = client.api.build(path=str(context), tag=name, rm=True, forcerm=True, decode=True, **options)
    last: list[str] = []
    for line in _lines(stream):
        last = [*last[-8:], line]
        if line.startswith("Step "):
            say(f"  {line.split(' : ')[0].lower()}")
    if problem := next((line for line in last if line.startswith("ERROR")), None):
        raise ImageError(f"{problem}\n" + "\n".join(last))


def _lines(stream: Iterator[dict[str, Any]]) -> Iterator[str]:
    for message in stream:
        if "error" in message:
            yield f"ERROR: the build of the image failed: {message['error'].strip()}"
        yield from str(message.get("stream", "")).strip().splitlines()
