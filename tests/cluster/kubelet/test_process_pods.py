"""Real pods: processes in the real sandbox, run by the real agent."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import core_v1, node_v1
from tests.cluster.kubelet.node_world import NodeWorld, is_ready, main_status

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_pod_runs_becomes_ready_and_goes(world: NodeWorld) -> None:
    await world.run("web", "echo hello; exec sleep 600")
    pod = await world.ready("web")
    assert pod["status"]["podIP"].startswith("10.42.1.")
    assert pod["status"]["hostIP"] == "10.42.1.1"
    assert main_status(pod)["containerID"].startswith("process://")
    assert (await world.logs("web")).strip() == "hello"
    await world.client.delete(core_v1.POD, "web", "default")
    await world.gone("web")
    async with asyncio.timeout(5):
        while (world.folder / "data/nodes/node-1/pods" / pod["metadata"]["uid"]).exists():
            await asyncio.sleep(0.02)


async def test_a_pod_that_ends_succeeds_or_fails_by_its_exit_code(world: NodeWorld) -> None:
    await world.run("good", "exit 0", restartPolicy="Never")
    assert (await world.ended("good"))["status"]["phase"] == "Succeeded"
    await world.run("bad", "echo last words > /dev/termination-log; exit 3", restartPolicy="Never")
    bad = await world.ended("bad")
    assert bad["status"]["phase"] == "Failed"
    terminated = main_status(bad)["state"]["terminated"]
    assert (terminated["exitCode"], terminated["message"].strip()) == (3, "last words")


async def test_a_crashing_container_is_restarted_with_back_off(world: NodeWorld) -> None:
    await world.run("crash", "exit 1")
    pod = await world.until("crash", lambda pod: main_status(pod)["restartCount"] >= 2)
    assert main_status(pod)["lastState"]["terminated"]["exitCode"] == 1
    await world.until("crash", lambda pod: "CrashLoopBackOff" in str(main_status(pod)["state"]))


async def test_a_program_that_is_not_there_is_a_start_error(world: NodeWorld) -> None:
    await world.create("typo", {"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "shell:v1", "command": ["no-such-program"]},
    ]})  # fmt: skip
    pod = await world.ended("typo")
    terminated = main_status(pod)["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)
    assert "no-such-program" in terminated["message"]


async def test_a_missing_image_says_how_to_build_it(world: NodeWorld) -> None:
    await world.create("unbuilt", {"containers": [{"name": "main", "image": "shop:v9"}]})
    pod = await world.until("unbuilt", lambda pod: "ImagePullBackOff" in str(main_status(pod)["state"]))
    assert "dabba image build DIR -t shop:v9" in main_status(pod)["state"]["waiting"]["message"]
    await world.create("never", {"containers": [{"name": "main", "image": "shop:v9", "imagePullPolicy": "Never"}]})
    await world.until("never", lambda pod: "ErrImageNeverPull" in str(main_status(pod)["state"]))


async def test_termination_runs_the_hook_then_the_signal_and_shows_unready_first(world: NodeWorld) -> None:
    script = "trap 'echo got term; exit 0' TERM; echo up; while true; do sleep 0.05; done"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >> /proc/1/root/tmp/order; sleep 0.3"]}}}
    await world.run("polite", script, lifecycle=hook)
    uid = (await world.ready("polite"))["metadata"]["uid"]
    log = world.folder / "data/nodes/node-1/pods" / uid / "logs/main/0.log"
    seen: list[bool] = []
    saved = ""
    await world.client.delete(core_v1.POD, "polite", "default")
    async with asyncio.timeout(10):
        while True:
            saved = log.read_text() if log.exists() else saved
            try:
                seen.append(is_ready(await world.pod("polite")))
            except Exception:
                break
            await asyncio.sleep(0.02)
    assert not seen[-1]
    assert "got term" in saved


async def test_a_program_that_ignores_the_signal_is_killed_after_its_grace(world: NodeWorld) -> None:
    await world.run("stubborn", "trap '' TERM; while true; do sleep 0.1; done", terminationGracePeriodSeconds=1)
    await world.ready("stubborn")
    began = asyncio.get_running_loop().time()
    await world.client.delete(core_v1.POD, "stubborn", "default")
    await world.gone("stubborn")
    assert 0.5 < asyncio.get_running_loop().time() - began < 5


async def test_hooks_run_after_the_start_and_a_failing_one_kills(world: NodeWorld) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo hooked > /tmp/hook"]}}}
    await world.run("hooked", "until test -f /tmp/hook; do sleep 0.05; done; cat /tmp/hook; exec sleep 600",
                    lifecycle=hook)  # fmt: skip
    await world.ready("hooked")
    async with asyncio.timeout(5):
        while (await world.logs("hooked")).strip() != "hooked":
            await asyncio.sleep(0.02)
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo why; exit 1"]}}}
    await world.run("unhooked", "exec sleep 600", lifecycle=hook, terminationGracePeriodSeconds=1)
    await world.until("unhooked", lambda pod: main_status(pod)["restartCount"] >= 1)
    assert "why" in await _events_of(world, "unhooked", "FailedPostStartHook")


async def test_a_pod_past_its_deadline_is_ended_with_the_reason(world: NodeWorld) -> None:
    await world.run("late", "exec sleep 600", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    pod = await world.ended("late")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


async def test_the_last_log_lines_stand_in_for_a_message(world: NodeWorld) -> None:
    await world.run("words", "echo first; echo it broke; exit 1", restartPolicy="Never",
                    terminationMessagePolicy="FallbackToLogsOnError")  # fmt: skip
    assert main_status(await world.ended("words"))["state"]["terminated"]["message"].endswith("it broke\n")


async def test_a_simulated_pod_runs_beside_the_real_ones(world: NodeWorld) -> None:
    await world.client.create(node_v1.RUNTIME_CLASS, {"metadata": {"name": "simulated"}, "handler": "simulated"})
    await world.create("paper", {"runtimeClassName": "simulated", "containers": [{"name": "main", "image": "any:v1"}]})
    pod = await world.ready("paper")
    assert main_status(pod)["containerID"].startswith("simulated://")
    await world.client.delete(core_v1.POD, "paper", "default")
    await world.gone("paper")


async def test_a_failed_liveness_probe_restarts_the_container(world: NodeWorld) -> None:
    probe = {"exec": {"command": ["test", "-f", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    await world.run("ill", "exec sleep 600", livenessProbe=probe, terminationGracePeriodSeconds=1)
    pod = await world.until("ill", lambda pod: main_status(pod)["restartCount"] >= 1)
    assert main_status(pod)["lastState"]["terminated"]["exitCode"] != 0


@pytest.mark.parametrize("kind", ["http", "tcp", "exec"])
async def test_readiness_follows_the_probe(world: NodeWorld, kind: str) -> None:
    probes: dict[str, Any] = {
        "http": {"httpGet": {"path": "/", "port": 8080}},
        "tcp": {"tcpSocket": {"port": 8080}},
        "exec": {"exec": {"command": ["test", "-f", "/tmp/open"]}},
    }
    script = "sleep 0.5; touch /tmp/open; exec python3 -m http.server 8080"
    await world.run(f"ready-{kind}", script, readinessProbe={**probes[kind], "periodSeconds": 1})
    await world.until(f"ready-{kind}", lambda pod: "running" in main_status(pod)["state"] and not is_ready(pod))
    await world.ready(f"ready-{kind}")


async def test_init_containers_run_first_and_sidecars_beside(world: NodeWorld) -> None:
    data = [{"name": "d", "mountPath": "/d"}]
    await world.create("ordered", {
        "restartPolicy": "Never",
        "volumes": [{"name": "d", "emptyDir": {}}],
        "initContainers": [
            {"name": "first", "image": "shell:v1", "args": ["echo first >> /d/order"], "volumeMounts": data},
            {"name": "side", "image": "shell:v1", "args": ["echo side >> /d/order; exec sleep 600"],
             "restartPolicy": "Always", "volumeMounts": data,
             "startupProbe": {"exec": {"command": ["grep", "side", "/d/order"]}}},
        ],
        "containers": [{"name": "main", "image": "shell:v1", "args": ["cat /d/order"], "volumeMounts": data}],
    })  # fmt: skip
    pod = await world.ended("ordered")
    assert pod["status"]["phase"] == "Succeeded"
    assert (await world.logs("ordered")).split() == ["first", "side"]
    await world.until("ordered", lambda pod: "terminated" in main_status(pod, "side")["state"])


async def test_the_environment_comes_from_everywhere(world: NodeWorld) -> None:
    client = world.client
    await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "settings"}, "data": {"COLOR": "blue"}}, "default")
    secret = {"metadata": {"name": "keys"}, "data": {"token": base64.b64encode(b"s3cret").decode()}}
    await client.create(core_v1.SECRET, secret, "default")
    env = [
        {"name": "PLAIN", "value": "one"},
        {"name": "BOTH", "value": "$(PLAIN)-$(COLOR)-$$(PLAIN)-$(NOBODY)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
    ]
    script = 'echo "$PLAIN|$BOTH|$IP|$CPU|$TOKEN|$MAYBE|$COLOR|$FROM_IMAGE"'
    await world.run(
        "env", script, env=env, envFrom=[{"configMapRef": {"name": "settings"}}], restartPolicy="Never",
        resources={"limits": {"cpu": "2", "memory": "64Mi"}},
    )  # fmt: skip
    pod = await world.ended("env")
    expected = f"one|one-blue-$(PLAIN)-$(NOBODY)|{pod['status']['podIP']}|2|s3cret||blue|yes"
    assert (await world.logs("env")).strip() == expected


async def test_a_missing_key_waits_with_the_name_of_what_is_missing(world: NodeWorld) -> None:
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "x"}}}]
    await world.run("waits", "sleep 600", env=env)
    pod = await world.until("waits", lambda pod: "CreateContainerConfigError" in str(main_status(pod)["state"]))
    assert main_status(pod)["state"]["waiting"]["message"] == 'configmap "later" not found'
    await world.client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "later"}, "data": {"x": "1"}}, "default")
    await world.ready("waits")


async def test_volumes_show_objects_and_follow_them(world: NodeWorld) -> None:
    client = world.client
    await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "live"}, "data": {"a": "one"}}, "default")
    key = {"metadata": {"name": "pem"}, "data": {"key": base64.b64encode(b"private").decode()}}
    await client.create(core_v1.SECRET, key, "default")
    volumes = [
        {"name": "live", "configMap": {"name": "live"}},
        {"name": "all", "projected": {"sources": [
            {"secret": {"name": "pem", "items": [{"key": "key", "path": "tls/key.pem", "mode": 0o400}]}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ]}},
    ]  # fmt: skip
    mounts = [{"name": "live", "mountPath": "/live"}, {"name": "all", "mountPath": "/all"},
              {"name": "live", "mountPath": "/one-file", "subPath": "a"}]  # fmt: skip
    script = (
        "cat /live/a /all/tls/key.pem /all/labels /one-file; echo; stat -L -c %a /all/tls/key.pem;"
        "until grep -q two /live/a; do sleep 0.05; done; cat /live/a; echo; touch /live/x || echo read-only"
    )
    await world.create("volumes", {
        "restartPolicy": "Never", "volumes": volumes,
        "containers": [{"name": "main", "image": "shell:v1", "args": [script], "volumeMounts": mounts}],
    }, labels={"app": "v"})  # fmt: skip
    await world.until("volumes", lambda pod: pod["status"]["phase"] == "Running")
    await client.patch(core_v1.CONFIG_MAP, "live", "default", {"data": {"a": "two"}})
    assert (await world.ended("volumes"))["status"]["phase"] == "Succeeded", await world.logs("volumes")
    lines = (await world.logs("volumes")).splitlines()
    assert lines[:2] == ['oneprivateapp="v"one', "400"]
    assert {"two", "read-only"} <= set(lines[2:])


async def test_a_host_path_may_not_show_the_clusters_state(world: NodeWorld) -> None:
    volumes = [{"name": "state", "hostPath": {"path": str(world.folder / "data")}}]
    await world.run("nosy", "sleep 600", volumes=volumes, volumeMounts=[{"name": "state", "mountPath": "/state"}])
    events = await _events_of(world, "nosy", "FailedMount")
    assert "cluster's own state" in events


async def _events_of(world: NodeWorld, name: str, reason: str) -> str:
    async with asyncio.timeout(10):
        while True:
            found = await world.client.list(
                core_v1.EVENT, "default", field_selector=f"involvedObject.name={name},reason={reason}"
            )
            if found.items:
                return str(found.items[0]["message"])
            await asyncio.sleep(0.05)


async def test_a_local_volume_outlives_its_pod(world: NodeWorld) -> None:
    path = world.folder / "data/volumes/pv-1"
    await world.client.create(core_v1.PERSISTENT_VOLUME, {
        "metadata": {"name": "pv-1", "annotations": {"pv.kubernetes.io/provisioned-by": "dabbawala.dev/local"}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": str(path)},
                 "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                     {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}]}}},
    })  # fmt: skip
    await world.client.create(core_v1.PERSISTENT_VOLUME_CLAIM, {
        "metadata": {"name": "claim"},
        "spec": {"volumeName": "pv-1", "accessModes": ["ReadWriteOnce"],
                 "resources": {"requests": {"storage": "1Gi"}}},
    }, "default")  # fmt: skip
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]
    mounts = [{"name": "v", "mountPath": "/data"}]
    await world.run("writer", "echo kept > /data/file", volumes=volumes, volumeMounts=mounts, restartPolicy="Never")
    await world.until("writer", lambda pod: pod["status"].get("startTime"))
    bound = {"status": {"phase": "Bound"}}
    await world.client.patch(core_v1.PERSISTENT_VOLUME_CLAIM, "claim", "default", bound, subresource="status")
    assert (await world.ended("writer"))["status"]["phase"] == "Succeeded"
    await world.client.delete(core_v1.POD, "writer", "default")
    await world.gone("writer")
    assert (path / "file").read_text() == "kept\n"


async def test_a_memory_hog_is_oom_killed(world: NodeWorld) -> None:
    hog = 'exec python3 -c "x=[bytearray(1<<20) for _ in range(400)]; import time; time.sleep(60)"'
    await world.run("hog", hog, resources={"limits": {"memory": "64Mi"}}, restartPolicy="Never")
    terminated = main_status(await world.ended("hog"))["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


async def test_run_as_non_root_refuses_root_and_runs_others(world: NodeWorld) -> None:
    await world.run("root", "id -u", securityContext={"runAsNonRoot": True})
    pod = await world.until("root", lambda pod: "CreateContainerConfigError" in str(main_status(pod)["state"]))
    assert "runAsNonRoot" in main_status(pod)["state"]["waiting"]["message"]
    await world.run("user", "id -u", securityContext={"runAsNonRoot": True, "runAsUser": 1234}, restartPolicy="Never")
    await world.ended("user")
    assert (await world.logs("user")).strip() == "1234"


async def test_a_pod_that_would_set_the_machine_is_rejected_and_one_that_sets_itself_runs(world: NodeWorld) -> None:
    limit = Path("/proc/sys/kernel/threads-max").read_text().strip()
    both = [{"name": "net.ipv4.ip_default_ttl", "value": "33"}, {"name": "kernel/threads-max", "value": limit}]
    await world.run("setter", "exit 0", securityContext={"sysctls": both})
    status = (await world.ended("setter"))["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "SysctlForbidden")
    assert 'forbidden sysctl: "kernel.threads-max" not allowlisted' in status["message"]
    own = [{"name": "net/ipv4/ip_default_ttl", "value": "33"}]
    await world.run("own", "cat /proc/sys/net/ipv4/ip_default_ttl", securityContext={"sysctls": own},
                    restartPolicy="Never")  # fmt: skip
    assert (await world.ended("own"))["status"]["phase"] == "Succeeded"
    assert (await world.logs("own")).strip() == "33"


async def test_an_agent_that_was_killed_takes_its_pods_over(world: NodeWorld) -> None:
    await world.run("survivor", "echo started; while true; do sleep 0.1; done")
    before = await world.ready("survivor")
    await world.run("ends", "sleep 0.6; exit 7", restartPolicy="Never")
    await world.until("ends", lambda pod: pod["status"]["phase"] == "Running")
    await world.kill()
    await asyncio.sleep(0.8)  # the time in which nobody looks
    world.begin()
    assert main_status(await world.ended("ends"))["state"]["terminated"]["exitCode"] == 7
    after = await world.ready("survivor")
    assert main_status(after)["restartCount"] == 0
    assert main_status(after)["containerID"] == main_status(before)["containerID"]
    assert (await world.logs("survivor")).split() == ["started"]


async def test_a_pod_deleted_while_the_agent_was_away_goes(world: NodeWorld) -> None:
    await world.run("orphan", "exec sleep 600")
    uid = (await world.ready("orphan"))["metadata"]["uid"]
    await world.kill()
    await world.client.delete(core_v1.POD, "orphan", "default", grace_period_seconds=0)
    world.begin()
    async with asyncio.timeout(10):
        while any(pod.uid == uid for pod in await world.holder.list_pods()):
            await asyncio.sleep(0.02)


async def test_a_sandbox_that_dies_is_made_again(world: NodeWorld) -> None:
    await world.run("phoenix", "exec sleep 600")
    pod = await world.ready("phoenix")
    await world.holder.remove_pod(pod["metadata"]["uid"])
    agent = world.node.agent if world.node is not None else None
    assert agent is not None
    agent.look_again()
    await world.until("phoenix", lambda pod: main_status(pod)["restartCount"] >= 1 and is_ready(pod))
