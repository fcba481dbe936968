"""Every field that this detector delivers: how it is read, and of which events. Pure.

Source: falco.org/docs/reference/rules/supported-fields; those under `dabba.` are our own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dabbawala.guard.runtime import events
from dabbawala.guard.runtime.events import Event, Process

Value = str | int | bool | tuple[str, ...] | None

SYSCALL_TYPES = frozenset(
    (events.EXECVE, events.OPEN, events.UNLINK, events.RENAME, events.CONNECT, events.LISTEN, events.PTRACE)
)
FILES = frozenset((events.OPEN, events.UNLINK, events.RENAME))
PEERS = frozenset((events.CONNECT, events.LISTEN))
AUDITS = frozenset((events.AUDIT,))

HOST = "host"


@dataclass(frozen=True, slots=True)
class Known:
    """How a field is read, of which events; `get` takes the event and the field's argument."""

    get: Callable[[Event, str], Value]
    types: frozenset[str] = SYSCALL_TYPES


def shown(value: Value) -> str:
    """A value in an output line."""
    if value is None:
        return "<NA>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "(" + ",".join(value) + ")"
    return str(value)


def _of_process(read: Callable[[Process], Value]) -> Callable[[Event, str], Value]:
    return lambda event, _: None if event.process is None else read(event.process)


def _ancestor(process: Process, generation: int) -> Process | None:
    for number, one in enumerate(process.ancestors()):
        if number == generation:
            return one
    return None


def _ancestral(read: Callable[[Process], Value]) -> Callable[[Event, str], Value]:
    """`proc.aname[2]` is that of the grandparent; without a number, those of all ancestors."""

    def get(event: Event, argument: str) -> Value:
        if event.process is None:
            return None
        if not argument:
            return tuple(shown(read(one)) for one in list(event.process.ancestors())[1:])
        found = _ancestor(event.process, int(argument)) if argument.isdecimal() else None
        return None if found is None else read(found)

    return get


def _parent(read: Callable[[Process], Value]) -> Callable[[Event, str], Value]:
    def get(event: Event, _: str) -> Value:
        found = None if event.process is None else event.process.parent
        return None if found is None else read(found)

    return get


def _duration(event: Event, _: str) -> Value:
    """Nanoseconds since the process began."""
    process = event.process
    return int((event.at - process.began) * 1e9) if process is not None and process.began else None


def _args(process: Process) -> str:
    return " ".join(process.argv[1:])


def _cmdline(process: Process) -> str:
    return f"{process.name} {_args(process)}".rstrip()


def _variable(event: Event, argument: str) -> Value:
    if event.process is None:
        return None
    if argument:
        return event.process.environment.get(argument)
    return " ".join(f"{name}={value}" for name, value in event.process.environment.items())


def _stream(number: int) -> Callable[[Process], Value]:
    """What a program's standard input or output is: file, pipe, ipv4 (any socket), or nothing known."""

    def kind(process: Process) -> Value:
        if len(process.streams) <= number or not process.streams[number]:
            return None
        name = process.streams[number]
        return "ipv4" if name.startswith("socket:") else "pipe" if name.startswith("pipe:") else "file"

    return kind


def _file_name(event: Event, _: str) -> Value:
    if event.file is not None:
        return event.file.path
    peer = event.peer
    if peer is None:
        return None
    here = f"{peer.local}:{peer.local_port}"
    return here if event.type == events.LISTEN else f"{here}->{peer.remote}:{peer.remote_port}"


def _path(read: Callable[[str], str]) -> Callable[[Event, str], Value]:
    return lambda event, _: None if event.file is None else read(event.file.path)


def _flags(event: Event, _: str) -> Value:
    file = event.file
    if file is None:
        return None
    access = "O_RDWR" if file.read and file.written else "O_WRONLY" if file.written else "O_RDONLY"
    return f"{access}|O_TRUNC" if file.emptied else access


def _typechar(event: Event, _: str) -> Value:
    if event.file is not None:
        return "f"
    return None if event.peer is None else "6" if event.peer.v6 else "4"


def _kind(event: Event, _: str) -> Value:
    if event.file is not None:
        return "file"
    return None if event.peer is None else "ipv6" if event.peer.v6 else "ipv4"


def _remote(event: Event, _: str) -> Value:
    return None if event.peer is None else (event.peer.remote or event.peer.local)


def _remote_port(event: Event, _: str) -> Value:
    peer = event.peer
    return None if peer is None else peer.remote_port if peer.remote else peer.local_port


def _of_peer(name: str) -> Callable[[Event, str], Value]:
    def get(event: Event, _: str) -> Value:
        found: Value = None if event.peer is None else getattr(event.peer, name)
        return None if found == "" else found

    return get


def _of_workload(name: str) -> Callable[[Event, str], Value]:
    def get(event: Event, _: str) -> Value:
        found: Value = None if event.workload is None else getattr(event.workload, name)
        return found or None

    return get


def _container_id(event: Event, _: str) -> Value:
    if event.container is None:
        return HOST
    known = event.workload.container_id if event.workload is not None else ""
    return known or event.container.id or event.container.key


def _container_name(event: Event, _: str) -> Value:
    if event.container is None:
        return HOST
    return (event.workload.container if event.workload is not None else "") or event.container.name or None


def _image(part: str) -> Callable[[Event, str], Value]:
    def get(event: Event, _: str) -> Value:
        if event.workload is None or not event.workload.image:
            return None
        name, _, digest = event.workload.image.partition("@")
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, tag = name, ""
        found = {"repository": head, "tag": tag or "latest", "digest": digest, "": event.workload.image}[part]
        return found or None

    return get


def _label(event: Event, argument: str) -> Value:
    return None if event.workload is None else event.workload.labels.get(argument)


def _all_labels(event: Event, _: str) -> Value:
    if event.workload is None:
        return None
    return ", ".join(f"{name}:{value}" for name, value in sorted(event.workload.labels.items()))


def _audit(*path: str) -> Callable[[Event, str], Value]:
    """A place in the audit event."""

    def get(event: Event, _: str) -> Value:
        found: Any = event.audit
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(found, list):
            return tuple(str(one) for one in found)
        return found if isinstance(found, str | int | bool) else None

    return get


def _audit_path(event: Event, _: str) -> Value:
    uri = (event.audit or {}).get("requestURI")
    return uri.partition("?")[0] if isinstance(uri, str) else None


def _constant(value: Value) -> Known:
    return Known(lambda _event, _argument: value)


def _process(read: Callable[[Process], Value]) -> Known:
    return Known(_of_process(read))


def _time(event: Event, _: str) -> Value:
    return f"{event.at:.9f}"


_PROCESS: Mapping[str, Known] = {
    "proc.name": _process(lambda p: p.name),
    "proc.exe": _process(lambda p: p.argv[0] if p.argv else p.exepath or None),
    "proc.exepath": _process(lambda p: p.exepath or None),
    "proc.cmdline": _process(_cmdline),
    "proc.args": _process(_args),
    "proc.exeline": _process(lambda p: " ".join(p.argv)),
    "proc.cmdnargs": _process(lambda p: max(0, len(p.argv) - 1)),
    "proc.cmdlenargs": _process(lambda p: sum(len(one) for one in p.argv[1:])),
    "proc.pid": _process(lambda p: p.pid),
    "proc.ppid": _process(lambda p: p.ppid),
    "proc.tty": _process(lambda p: p.tty),
    "proc.cwd": _process(lambda p: p.cwd or None),
    "proc.env": Known(_variable, frozenset((events.EXECVE,))),
    "proc.pname": Known(_parent(lambda p: p.name)),
    "proc.pexe": Known(_parent(lambda p: p.argv[0] if p.argv else None)),
    "proc.pexepath": Known(_parent(lambda p: p.exepath or None)),
    "proc.pcmdline": Known(_parent(_cmdline)),
    "proc.aname": Known(_ancestral(lambda p: p.name)),
    "proc.aexe": Known(_ancestral(lambda p: p.argv[0] if p.argv else None)),
    "proc.aexepath": Known(_ancestral(lambda p: p.exepath or None)),
    "proc.acmdline": Known(_ancestral(_cmdline)),
    "proc.apid": Known(_ancestral(lambda p: p.pid)),
    "proc.is_exe_from_memfd": _process(lambda p: p.from_memory),
    "proc.is_exe_upper_layer": _process(lambda p: p.changed),
    "proc.stdin.type": _process(_stream(0)),
    "proc.stdout.type": _process(_stream(1)),
    "proc.stderr.type": _process(_stream(2)),
    "proc.duration": Known(_duration),
    "thread.tid": _process(lambda p: p.pid),
    "user.uid": _process(lambda p: p.uid if p.uid >= 0 else None),
    "user.name": _process(lambda p: "root" if p.uid == 0 else str(p.uid) if p.uid > 0 else None),
    "dabba.entered": _process(lambda p: p.entered),
}

_FILE: Mapping[str, Known] = {
    "fd.name": Known(_file_name, FILES | PEERS),
    "fd.directory": Known(_path(posixpath.dirname), FILES),
    "fd.filename": Known(_path(posixpath.basename), FILES),
    "fd.nameraw": Known(_file_name, FILES | PEERS),
    "fd.typechar": Known(_typechar, FILES | PEERS),
    "fd.type": Known(_kind, FILES | PEERS),
    "fd.num": Known(lambda _event, _argument: 3, FILES | PEERS),
    "fs.path.name": Known(_path(str), FILES),
    "fs.path.source": Known(_path(str), frozenset((events.RENAME,))),
    "fs.path.target": Known(lambda e, _: (e.file.target or None) if e.file else None, frozenset((events.RENAME,))),
    "evt.is_open_read": Known(lambda e, _: e.file is not None and e.file.read, frozenset((events.OPEN,))),
    "evt.is_open_write": Known(lambda e, _: e.file is not None and e.file.written, frozenset((events.OPEN,))),
    "evt.arg[flags]": Known(_flags, frozenset((events.OPEN,))),
    "evt.arg[name]": Known(_path(str), FILES),
    "evt.arg[path]": Known(_path(str), FILES),
    "evt.arg[oldpath]": Known(_path(str), frozenset((events.RENAME,))),
}

_PEER: Mapping[str, Known] = {
    "fd.sip": Known(_remote, PEERS),
    "fd.rip": Known(_of_peer("remote"), PEERS),
    "fd.lip": Known(_of_peer("local"), PEERS),
    "fd.cip": Known(_of_peer("local"), frozenset((events.CONNECT,))),
    "fd.ip": Known(_remote, PEERS),
    "fd.snet": Known(_remote, PEERS),
    "fd.rnet": Known(_of_peer("remote"), PEERS),
    "fd.net": Known(_remote, PEERS),
    "fd.sport": Known(_remote_port, PEERS),
    "fd.rport": Known(_of_peer("remote_port"), PEERS),
    "fd.lport": Known(_of_peer("local_port"), PEERS),
    "fd.cport": Known(_of_peer("local_port"), frozenset((events.CONNECT,))),
    "fd.port": Known(_remote_port, PEERS),
    "fd.l4proto": Known(_of_peer("protocol"), PEERS),
    "fd.connected": Known(lambda e, _: e.type == events.CONNECT, PEERS),
}

_SURROUNDINGS: Mapping[str, Known] = {
    "container.id": Known(_container_id),
    "container.full_id": Known(_container_id),
    "container.name": Known(_container_name),
    "container.image": Known(_image("")),
    "container.image.repository": Known(_image("repository")),
    "container.image.tag": Known(_image("tag")),
    "container.image.digest": Known(_image("digest")),
    "k8s.ns.name": Known(_of_workload("namespace")),
    "k8s.pod.name": Known(_of_workload("pod_name")),
    "k8s.pod.id": Known(lambda e, _: (e.container.pod_uid or None) if e.container else None),
    "k8s.pod.uid": Known(lambda e, _: (e.container.pod_uid or None) if e.container else None),
    "k8s.pod.label": Known(_label),
    "k8s.pod.labels": Known(_all_labels),
    "evt.num": _constant(1),
    "evt.dir": _constant("<"),
    "evt.res": _constant("SUCCESS"),
    "evt.rawres": _constant(0),
    "evt.failed": _constant(False),
    "evt.source": Known(lambda e, _: "k8s_audit" if e.type == events.AUDIT else "syscall", SYSCALL_TYPES | AUDITS),
    "evt.hostname": Known(lambda e, _: e.node or None, SYSCALL_TYPES | AUDITS),
    "dabba.source": Known(lambda e, _: e.source, SYSCALL_TYPES | AUDITS),
    "dabba.attribution": Known(lambda e, _: e.attribution),
}

_AUDITED: Mapping[str, Known] = {
    name: Known(_audit(*path), AUDITS)
    for name, path in {
        "ka.user.name": ("user", "username"), "ka.user.groups": ("user", "groups"),
        "ka.impuser.name": ("impersonatedUser", "username"), "ka.verb": ("verb",), "ka.auditid": ("auditID",),
        "ka.stage": ("stage",), "ka.uri": ("requestURI",), "ka.useragent": ("userAgent",),
        "ka.target.resource": ("objectRef", "resource"), "ka.target.subresource": ("objectRef", "subresource"),
        "ka.target.name": ("objectRef", "name"), "ka.target.namespace": ("objectRef", "namespace"),
        "ka.response.code": ("responseStatus", "code"), "ka.response.reason": ("responseStatus", "reason"),
        "ka.auth.decision": ("annotations", "authorization.k8s.io/decision"),
        "ka.auth.reason": ("annotations", "authorization.k8s.io/reason"),
        "ka.sourceips": ("sourceIPs",), "ka.req.binding.role": ("requestObject", "roleRef", "name"),
        "jevt.rawtime": ("requestReceivedTimestamp",),
    }.items()
}  # fmt: skip


def _iso(event: Event, _: str) -> Value:
    return datetime.fromtimestamp(event.at, UTC).isoformat()


def _type(event: Event, _: str) -> Value:
    return event.type


FIELDS: Mapping[str, Known] = {
    "evt.type": Known(_type, SYSCALL_TYPES | AUDITS),
    "evt.time": Known(_time, SYSCALL_TYPES | AUDITS),
    "evt.time.iso8601": Known(_iso, SYSCALL_TYPES | AUDITS),
    "evt.rawtime": Known(lambda e, _: int(e.at * 1e9), SYSCALL_TYPES | AUDITS),
    "jevt.time": Known(_time, AUDITS),
    "ka.uri.path": Known(_audit_path, AUDITS),
    **_PROCESS,
    **_FILE,
    **_PEER,
    **_SURROUNDINGS,
    **_AUDITED,
}
