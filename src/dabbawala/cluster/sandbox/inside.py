"""A further command on its way into a running container (exec, and the probes that exec)."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from dabbawala.cluster.sandbox import container as containers
from dabbawala.cluster.sandbox import init, kernel, loop, spec, wire


@dataclass(frozen=True, slots=True)
class Inside:
    """Forked straight into the container's pid namespace. The client's connection hears of the terminal and the end."""

    run: containers.Container
    wanted: spec.ExecSpec
    one_id: bool
    request: loop.Request

    def descriptors(self) -> tuple[int, ...]:
        kept = (self.run.namespaces[kernel.CLONE_NEWNS], self.run.namespaces[kernel.CLONE_NEWUSER])
        return (*kept, self.request.connection.fileno(), *self.request.descriptors)

    def enter(self) -> int:
        """Becomes the command; returns only when that failed, with the exit code that shells give for it."""
        connection = self.request.connection
        try:
            self._enter(connection)
        except OSError as error:
            program = self.wanted.argv[0] if self.wanted.argv else ""
            refusal = wire.SandboxError("StartError", f'exec: "{program}": {os.strerror(error.errno or 0).lower()}')
            wire.send(connection, wire.failure(refusal))
            return 126 if error.errno == errno.EACCES else 127
        return 0

    def _enter(self, connection: socket.socket) -> None:
        # Before the first step inside, or the container's processes could take hold of this one and what it has open.
        kernel.forbid_inspection()
        for path in self.run.joins:
            init.join_cgroup(path)
        # The mount namespace first: it belongs to the cluster's user namespace, and the next step gives up that one.
        kernel.setns(self.run.namespaces[kernel.CLONE_NEWNS], kernel.CLONE_NEWNS)
        kernel.setns(self.run.namespaces[kernel.CLONE_NEWUSER], kernel.CLONE_NEWUSER)
        os.umask(0o022)
        container, wanted = self.run.spec, self.wanted
        init.become(container.user, one_id=self.one_id)
        kernel.forbid_inspection()
        if wanted.tty:
            stdio = init.open_terminal(connection, wanted.columns, wanted.rows)
        else:
            given = [*self.request.descriptors, -1, -1, -1]
            stdio = (given[0], given[1], given[2])
        known = init.environment(container.user, one_id=self.one_id, terminal=wanted.tty)
        env = {"HOSTNAME": self.run.pod.hostname, **known, **container.env, **wanted.env}
        init.execute(wanted.argv, env, wanted.cwd or container.cwd or "/", stdio, wanted.tty)
