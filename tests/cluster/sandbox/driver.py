"""A sandbox of its own, driven over stdin and stdout by a test: it may run as another user and with another Python.

Needs the sandbox package on its path and nothing else. One JSON object a line in, one a line out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from dabbawala.cluster.sandbox import spec
from dabbawala.cluster.sandbox.client import HolderClient, SandboxError

Json = dict[str, Any]


async def serve(client: HolderClient, order: Json) -> Json:
    if order["op"] == "pod":
        try:
            await client.create_pod(spec.pod_from(order["pod"]))
        except SandboxError as refused:
            return {"reason": refused.reason, "message": refused.message}
        return {}
    if order["op"] == "container":
        try:
            await client.start_container(order["uid"], spec.container_from(order["container"]))
        except SandboxError as refused:
            return {"reason": refused.reason, "message": refused.message}
        return {}
    if order["op"] == "status":
        return spec.to_json(await client.pod_status(order["uid"]))
    if order["op"] == "info":
        return await client.info()
    session = await client.exec(order["uid"], order["container"], spec.ExecSpec(tuple(order["argv"])))
    output = b"".join([data async for _, data in session.output()])
    code = await session.wait()
    output += session.error.encode()
    session.close()
    return {"code": code, "output": output.decode(errors="replace")}


async def main(run_dir: str) -> None:
    client = HolderClient(run_dir)
    await client.start()
    try:
        await client.create_node("node-1", 1)
        print(json.dumps({"ready": True}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await asyncio.wait_for(serve(client, json.loads(line)), 20)), flush=True)
    finally:
        await client.stop()


asyncio.run(main(sys.argv[1]))
