"""Building an image from a Dockerfile's last stage, without containers.

FROM names what the program runs on: a Python of this machine, another local image, or nothing but the host's programs.
COPY and ADD place files, RUN may install Python packages into an environment of the image's own, the rest describes the
program. What cannot be honoured is refused with its line and a remedy; nothing is half-built.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from dabbawala.apimachinery import clock
from dabbawala.cluster.kubelet import stopping
from dabbawala.cluster.kubelet.images import dockerfile, python_environment
from dabbawala.cluster.kubelet.images.copying import Context, CopyError, Destination, place
from dabbawala.cluster.kubelet.images.dockerfile import BadDockerfile, Instruction
from dabbawala.cluster.kubelet.images.store import Image, ImageStore

HOST_BASES = ("scratch", "debian", "ubuntu", "alpine", "busybox", "gcr.io/distroless/")
ENVIRONMENT = "/opt/image/env"
HARMLESS = frozenset({"useradd", "adduser", "groupadd", "addgroup", "chown", "chmod", "true", ":"})
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Draft:
    """An image on its way: `root` is being filled, `packages` are what pip is asked for, in order."""

    root: Path
    context: Context
    variables: dict[str, str]
    image: Image
    args: dict[str, str] = field(default_factory=dict)
    packages: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def scope(self) -> dict[str, str]:
        return {**self.args, **self.image.env}


def build(store: ImageStore, context: Path, tag: str, arguments: Mapping[str, str], now: datetime) -> Image:
    """Read `context/Dockerfile` and register the image. Raises BadDockerfile; then the store is as it was."""
    path = context / "Dockerfile"
    try:
        found = dockerfile.instructions(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadDockerfile(f"{path} cannot be read ({reason}); name the folder that holds it") from error
    folder = store.new_root()
    try:
        image = Image(name=tag, id="", root=folder / "root", env={"PATH": DEFAULT_PATH})
        draft = Draft(folder / "root", Context(context), dict(arguments), image)
        _carry_out(store, draft, *dockerfile.final_stage(found))
        _install(store, draft)
        return store.register(_finished(draft, now), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _carry_out(store: ImageStore, draft: Draft, before: list[Instruction], stage: list[Instruction]) -> None:
    global_args: dict[str, str] = {}
    for instruction in before:
        name, value = _argument(instruction, draft.variables, global_args)
        global_args[name] = value
    _from(store, draft, stage[0], global_args)
    for instruction in stage[1:]:
        if instruction.name == "ARG":
            name, value = _argument(instruction, draft.variables, {**global_args, **draft.scope()})
            draft.args[name] = value or global_args.get(name, "")
        else:
            _step(draft, instruction)


def _step(draft: Draft, instruction: Instruction) -> None:
    try:
        STEPS[instruction.name](draft, instruction)
    except CopyError as error:
        raise instruction.refuse(
            str(error), "sources count from the build context, and all must stay in the image"
        ) from error
    except OSError as error:
        raise instruction.refuse(
            f"{error.filename or 'the image'}: {error.strerror or error}", "see to that path"
        ) from error


def _inside(draft: Draft, path: str) -> Path:
    """Where a path of the image is on disk; as in a container, '..' ends at the root. Raises CopyError."""
    whole = posixpath.normpath(f"/{PurePosixPath(draft.image.workdir or '/') / path}")
    target = draft.root / whole.lstrip("/")
    Destination(draft.root, target, into=False).check(draft.root if target == draft.root else target.parent)
    return target


def _argument(instruction: Instruction, given: Mapping[str, str], known: Mapping[str, str]) -> tuple[str, str]:
    name, _, default = instruction.text.partition("=")
    return name.strip(), given.get(name.strip(), dockerfile.expand(default.strip().strip("\"'"), known))


def _from(store: ImageStore, draft: Draft, instruction: Instruction, arguments: Mapping[str, str]) -> None:
    words = [word for word in instruction.text.split() if not word.startswith("--")]
    base = dockerfile.expand(words[0], arguments)
    local = store.resolve(base)
    if local is not None:
        shutil.copytree(local.root, draft.root, symlinks=True, dirs_exist_ok=True, copy_function=_link)
        draft.image = replace(local, name=draft.image.name, root=draft.root, notes=())
        return
    name, _, version = base.removeprefix("docker.io/").removeprefix("library/").partition(":")
    if name == "python":
        _python(draft, instruction, version)
    elif name == "scratch" or any(base.removeprefix("docker.io/library/").startswith(known) for known in HOST_BASES):
        draft.notes.append(f"line {instruction.line}: {base} is not downloaded; the program sees this host's /usr")
    else:
        raise instruction.refuse(
            f"{base} is not a local image, and there is no registry to pull it from",
            "use python:X.Y for a Python of this machine, debian for its programs, or a local image by name",
        )


def _python(draft: Draft, instruction: Instruction, version: str) -> None:
    wanted = version.partition("-")[0] or f"{sys.version_info.major}.{sys.version_info.minor}"
    if python_environment.interpreter(wanted) is None:
        raise instruction.refuse(
            f"this machine has no Python {wanted}",
            f"install it, or build with --build-arg for the one there is: {python_environment.here()}",
        )
    path = f"{ENVIRONMENT}/bin:{DEFAULT_PATH}"
    env = {**draft.image.env, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    draft.image = replace(draft.image, python=wanted, env=env, cmd=("python3",))


def _env(draft: Draft, instruction: Instruction) -> None:
    draft.image = replace(draft.image, env={**draft.image.env, **dockerfile.pairs(instruction, draft.scope())})


def _label(draft: Draft, instruction: Instruction) -> None:
    labels = {**draft.image.labels, **dockerfile.pairs(instruction, draft.scope())}
    draft.image = replace(draft.image, labels=labels)


def _workdir(draft: Draft, instruction: Instruction) -> None:
    path = dockerfile.expand(instruction.text, draft.scope())
    workdir = posixpath.normpath(PurePosixPath(draft.image.workdir or "/") / path)
    _inside(draft, workdir).mkdir(parents=True, exist_ok=True)
    draft.image = replace(draft.image, workdir=workdir)


def _user(draft: Draft, instruction: Instruction) -> None:
    draft.image = replace(draft.image, user=dockerfile.expand(instruction.text, draft.scope()))


def _expose(draft: Draft, instruction: Instruction) -> None:
    ports = dockerfile.expand(instruction.text, draft.scope()).split()
    draft.image = replace(draft.image, exposed=(*draft.image.exposed, *ports))


def _cmd(draft: Draft, instruction: Instruction) -> None:
    draft.image = replace(draft.image, cmd=dockerfile.command(instruction))


def _entrypoint(draft: Draft, instruction: Instruction) -> None:
    draft.image = replace(draft.image, entrypoint=dockerfile.command(instruction), cmd=())


def _stop_signal(draft: Draft, instruction: Instruction) -> None:
    name = dockerfile.expand(instruction.text, draft.scope())
    if stopping.signal_number(name) is None:
        raise instruction.refuse(f"{name} is no signal", "write a name such as SIGTERM, or a number")
    draft.image = replace(draft.image, stop_signal=name)


def _no_effect(draft: Draft, instruction: Instruction) -> None:
    draft.notes.append(f"line {instruction.line}: {instruction.name} has no effect here")


def _refused(draft: Draft, instruction: Instruction) -> None:
    raise instruction.refuse("this instruction cannot be honoured", "leave it out of the last stage")


def _copy(draft: Draft, instruction: Instruction) -> None:
    given, words = dockerfile.flags(instruction)
    if "from" in given:
        raise instruction.refuse("only the last stage is built", "build the file beforehand and COPY it from here")
    if "chown" in given:
        draft.notes.append(f"line {instruction.line}: --chown has no effect; files belong to the image")
    if len(words) < 2:
        raise instruction.refuse("a source and a destination are needed", "write COPY SOURCE... DESTINATION")
    *sources, destination = (dockerfile.expand(word, draft.scope()) for word in words)
    if any(source.startswith(("http://", "https://", "git@")) for source in sources):
        raise instruction.refuse("nothing is downloaded while building", "download it beforehand and COPY it")
    into = destination.endswith("/") or destination in (".", "./") or len(sources) > 1
    mode = int(given["chmod"], 8) if given.get("chmod", "").isdigit() else None
    target = Destination(draft.root, _inside(draft, destination), into)
    for source in sources:
        place(draft.context, source, target, unpack=instruction.name == "ADD", mode=mode)


def _run(draft: Draft, instruction: Instruction) -> None:
    """pip installs and a few commands without effect here; each part of an `&&` chain by itself."""
    given, text = _run_flags(instruction.text)
    if given:
        draft.notes.append(f"line {instruction.line}: {' '.join(given)} has no effect here")
    words = list(dockerfile.command(replace(instruction, text=text))) if text.startswith("[") else None
    parts = [words] if words else [_words(instruction, part) for part in text.split("&&")]
    for part in parts:
        expanded = [dockerfile.expand(word, draft.scope()) for word in part]
        _run_one(draft, instruction, expanded)


def _run_flags(text: str) -> tuple[list[str], str]:
    given = []
    while text.startswith("--"):
        flag, _, text = text.partition(" ")
        given.append(flag)
        text = text.strip()
    return given, text


def _words(instruction: Instruction, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise instruction.refuse(str(error), "close the quotes") from error


def _run_one(draft: Draft, instruction: Instruction, words: list[str]) -> None:
    if words[:3] in (["python", "-m", "pip"], ["python3", "-m", "pip"]):
        words = words[2:]
    if words[:2] in (["pip", "install"], ["pip3", "install"]):
        if not draft.image.python:
            raise instruction.refuse("the image has no Python", "begin with FROM python:X.Y")
        draft.packages.append(tuple(_requirements(draft, instruction, words[2:])))
    elif words and words[0] == "mkdir":
        for path in (word for word in words[1:] if not word.startswith("-")):
            _inside(draft, path).mkdir(parents=True, exist_ok=True)
    elif words and words[0] in HARMLESS:
        draft.notes.append(f"line {instruction.line}: {words[0]} has no effect here; files belong to the image")
    else:
        raise instruction.refuse(
            f"{words[0] if words else 'this'} cannot be run while building",
            "only pip install is; install programs on the host, or COPY what is needed",
        )


def _requirements(draft: Draft, instruction: Instruction, words: list[str]) -> list[str]:
    """pip's arguments with the files they name found in the image."""
    found, is_file = [], False
    for word in words:
        path = _inside(draft, word)
        if is_file and not path.is_file():
            raise instruction.refuse(f"{word} is not in the image", "COPY it before")
        found.append(str(path) if is_file or (word.startswith((".", "/")) and path.exists()) else word)
        is_file = word in ("-r", "--requirement", "-c", "--constraint")
    return found


STEPS: dict[str, Callable[[Draft, Instruction], None]] = {
    "ENV": _env,
    "LABEL": _label,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "STOPSIGNAL": _stop_signal,
    "COPY": _copy,
    "ADD": _copy,
    "RUN": _run,
    "HEALTHCHECK": _no_effect,
    "VOLUME": _no_effect,
    "MAINTAINER": _no_effect,
    "SHELL": _refused,
    "ONBUILD": _refused,
    "FROM": _refused,
}


def _install(store: ImageStore, draft: Draft) -> None:
    """Put the environment with the asked packages at its place in the image."""
    if not draft.image.python:
        return
    target = draft.root / ENVIRONMENT.lstrip("/")
    try:
        Destination(draft.root, target, into=True).check(target)
    except CopyError as error:
        raise BadDockerfile(f"{error}; it is the place of the image's Python environment") from error
    if target.exists() and not draft.packages:
        return
    with store.locked():
        made = python_environment.ensure(store.environments, draft.image.python, draft.packages, ENVIRONMENT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, target, symlinks=True, dirs_exist_ok=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    """Share the file; copying costs time and disk."""
    if os.path.lexists(target):
        os.unlink(target)
    os.link(source, target, follow_symlinks=False)


def _finished(draft: Draft, now: datetime) -> Image:
    image = replace(draft.image, created="", notes=tuple(draft.notes))
    digest = hashlib.sha256()
    described = [image.entrypoint, image.cmd, dict(image.env), image.workdir, image.user, image.exposed]
    digest.update(json.dumps([*described, dict(image.labels), image.stop_signal, image.python]).encode())
    for path in sorted(draft.root.rglob("*")):
        digest.update(str(path.relative_to(draft.root)).encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(str(path.stat().st_mode & 0o777).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return replace(image, id=digest.hexdigest(), created=clock.format_time(now))
