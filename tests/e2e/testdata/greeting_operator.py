"""A kopf operator: every Greeting gets a ConfigMap of its own that holds the words, and loses it again."""

import kopf
import kubernetes

KIND = ("example.com", "v1", "greetings")


def core():
    kubernetes.config.load_kube_config()
    return kubernetes.client.CoreV1Api()


@kopf.on.startup()
def quiet(settings, **_):
    settings.posting.level = 20
    settings.watching.server_timeout = 60


@kopf.on.create(*KIND)
def created(spec, name, namespace, **_):
    body = {"metadata": {"name": name}, "data": {"words": spec["words"]}}
    kopf.adopt(body)
    core().create_namespaced_config_map(namespace, body)
    return {"said": spec["words"]}


@kopf.on.update(*KIND, field="spec.words")
def changed(new, name, namespace, patch, **_):
    core().patch_namespaced_config_map(name, namespace, {"data": {"words": new}})
    patch.status["last"] = new


@kopf.on.delete(*KIND)
def deleted(name, namespace, **_):
    body = {"metadata": {"name": f"{name}-was-here"}}
    core().create_namespaced_config_map(namespace, body)
