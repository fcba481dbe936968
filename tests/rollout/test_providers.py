"""Measuring: what Prometheus and web addresses answer, arguments, secrets, Jobs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from dabbawala.api import argoproj_v1alpha1, batch_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import not_found
from dabbawala.client.dialer import Answer, DialFailed
from dabbawala.reconcile.plan import Create, Delete, Patch
from dabbawala.rollout.analysis import arguments, carried, jobs, moments, providers
from dabbawala.rollout.analysis.controller import AnalysisRunController
from dabbawala.rollout.reading import Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = argoproj_v1alpha1.ANALYSIS_RUN


@dataclass
class Web:
    """Answers every request with one answer, and remembers what was asked."""

    answer: Answer | DialFailed
    asked: list[tuple[str, str, Mapping[str, str], bytes, float]] = field(default_factory=list)
    trusting: bool = False

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        timeout_seconds: float = 30.0, insecure: bool = False,
    ) -> Answer:  # fmt: skip
        self.trusting = insecure
        self.asked.append((method, url, headers or {}, body, timeout_seconds))
        if isinstance(self.answer, DialFailed):
            raise self.answer
        return self.answer


def prometheus(result_type: str, result: Any) -> Web:
    data = {"status": "success", "data": {"resultType": result_type, "result": result}}
    return Web(Answer(200, {}, orjson.dumps(data)))


def query(condition: str = "result[0] > 0.9", **more: Any) -> Object:
    return {"name": "m", "successCondition": condition, "provider": {"prometheus": {"query": "up", **more}}}


async def test_a_vector_is_a_list_of_numbers() -> None:
    web = prometheus("vector", [{"metric": {}, "value": [0, "0.98"]}, {"metric": {}, "value": [0, "1"]}])
    found = await providers.prometheus(query(), web, NOW)
    assert (found.phase, found.value) == ("Successful", "[0.98,1]")
    assert found.metadata == {"ResolvedPrometheusQuery": "up"}
    assert web.asked[0][1] == "http://prometheus.monitoring.svc.cluster.local:9090/api/v1/query"
    assert web.asked[0][3] == b"query=up"


async def test_no_samples_are_an_error_and_not_a_success() -> None:
    found = await providers.prometheus(query(), prometheus("vector", []), NOW)
    assert found.phase == "Error"
    assert "index out of range: 0" in found.message


async def test_a_scalar_is_a_number_and_nan_compares_as_false() -> None:
    assert (await providers.prometheus(query("result > 1"), prometheus("scalar", [0, "2"]), NOW)).phase == "Successful"
    nan = prometheus("vector", [{"metric": {}, "value": [0, "NaN"]}])
    found = await providers.prometheus(query(), nan, NOW)
    assert (found.phase, found.value) == ("Failed", "[NaN]")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(503, {}, b"upstream connect error"), "prometheus answered 503 with no JSON: upstream connect error"),
        (Answer(400, {}, b'{"status":"error","error":"parse error"}'), "prometheus answered 400: parse error"),
        (
            Answer(404, {}, b'{"kind":"Status","status":"Failure","message":"no such service"}'),
            "http://.*no such service",
        ),
        (Answer(200, {}, b'{"status":"success","data":{"resultType":"string","result":[0,"x"]}}'), "must give numbers"),
    ],
)
async def test_an_answer_that_is_none_is_not_measured(answer: Answer, message: str) -> None:
    with pytest.raises(providers.NotMeasured, match=message):
        await providers.prometheus(query(), Web(answer), NOW)


def web_metric(**more: Any) -> Object:
    return {"name": "m", "successCondition": "result == 1", "provider": {"web": {"url": "http://x/y", **more}}}


async def test_web_reads_the_value_at_its_path() -> None:
    web = Web(Answer(200, {}, b'{"data": {"n": 1}}'))
    settings = {"jsonPath": "{$.data.n}", "headers": [{"key": "a", "value": "b"}], "timeoutSeconds": 3}
    found = await providers.web(web_metric(**settings), web, NOW)
    assert (found.phase, found.value) == ("Successful", "1")
    assert web.asked == [("GET", "http://x/y", {"a": "b"}, b"", 3)]


async def test_web_posts_json() -> None:
    web = Web(Answer(201, {}, b"1"))
    assert (await providers.web(web_metric(method="POST", jsonBody={"a": 1}), web, NOW)).phase == "Successful"
    assert web.asked[0][2:4] == ({"content-type": "application/json"}, b'{"a":1}')


@pytest.mark.parametrize(
    ("answer", "path", "message"),
    [
        (Answer(500, {}, b""), "", "received non 2xx response code: 500"),
        (Answer(200, {}, b"not json"), "{$.a}", "could not parse JSON body"),
        (Answer(200, {}, b"{}"), "{$.a}", "could not find JSONPath"),
    ],
)
async def test_web_without_a_value_is_not_measured(answer: Answer, path: str, message: str) -> None:
    with pytest.raises(providers.NotMeasured, match=message):
        await providers.web(web_metric(jsonPath=path), Web(answer), NOW)


async def test_a_body_that_is_no_json_is_text() -> None:
    assert providers.web_value(b"fine", "") == "fine"


async def test_a_range_is_asked_for_between_its_bounds_and_gives_the_values_of_all_series() -> None:
    web = prometheus("matrix", [{"metric": {}, "values": [[0, "1"], [60, "2"]]}, {"metric": {}, "values": [[0, "3"]]}])
    bounds = {"start": 'now() - duration("1h")', "end": "now()", "step": "1m"}
    found = await providers.prometheus(query("all(result, # > 0)", rangeQuery=bounds), web, NOW)
    assert (found.phase, found.value) == ("Successful", "[1,2,3]")
    assert web.asked[0][1].endswith("/api/v1/query_range")
    assert web.asked[0][3] == b"query=up&start=1767222000.000&end=1767225600.000&step=60.000"


async def test_a_certificate_is_looked_at_unless_the_metric_says_not_to() -> None:
    web = Web(Answer(200, {}, b"1"))
    await providers.web(web_metric(), web, NOW)
    assert not web.trusting
    await providers.web(web_metric(insecure=True), web, NOW)
    assert web.trusting
    samples = prometheus("scalar", [0, "1"])
    await providers.prometheus(query("result == 1", insecure=True), samples, NOW)
    assert samples.trusting


TIMES = [
    ("now()", NOW),
    ('now() - duration("1h30m")', NOW - timedelta(minutes=90)),
    ('now() - 2 * duration("15m") + duration("90s")', NOW - timedelta(minutes=28, seconds=30)),
    ('date("2025-12-31T12:00:00+01:00")', NOW - timedelta(hours=13)),
    ('date("2025-12-31")', NOW - timedelta(days=1)),
]


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_the_bounds_of_a_range_are_times(text: str, moment: datetime) -> None:
    assert moments.moment(text, NOW) == moment


RANGE = {"start": 'now() - duration("1h")', "end": "now()", "step": "1m"}
REFUSED = [
    ({"prometheus": {"rangeQuery": RANGE | {"start": "yesterday"}}}, "provider.prometheus.rangeQuery.start is no time"),
    (
        {"prometheus": {"rangeQuery": RANGE | {"end": 'duration("1h")'}}},
        "provider.prometheus.rangeQuery.end is no time",
    ),
    ({"prometheus": {"rangeQuery": RANGE | {"end": 'now() - duration("60")'}}}, "'60' is no duration"),
    ({"prometheus": {"rangeQuery": RANGE | {"end": 'date("1 May", "2 Jan")'}}}, "rangeQuery.end is no time"),
    ({"prometheus": {"rangeQuery": RANGE | {"end": "now() + now()"}}}, "rangeQuery.end is no time"),
    ({"prometheus": {"rangeQuery": {"start": "now()", "end": "now()"}}}, "provider.prometheus.rangeQuery.step"),
    ({"prometheus": {"rangeQuery": RANGE | {"step": "0s"}}}, "rangeQuery.step '0s' must be greater than 0"),
    ({"prometheus": {"authentication": {"oauth2": {"clientId": "x"}}}}, "authentication.oauth2 is not supported"),
    ({"prometheus": {"timeout": -1}}, "provider.prometheus.timeout should not be negative"),
    ({"web": {"authentication": {"sigv4": {"region": "x"}}}}, "provider.web.authentication.sigv4 is not supported"),
    ({"web": {"body": "a", "jsonBody": {}}}, "body and jsonBody exclude one another"),
    ({"kayenta": {}}, "names provider 'kayenta', which is not supported"),
    ({"web": {}, "job": {}}, "must have exactly one provider"),
]


@pytest.mark.parametrize(("provider", "message"), REFUSED)
def test_what_of_a_provider_is_not_carried_is_refused_by_name(provider: Object, message: str) -> None:
    assert message in carried.refused({"provider": provider})


@pytest.mark.parametrize(
    "provider",
    [{"prometheus": {"rangeQuery": RANGE, "authentication": {"sigv4": {}}}}, {"web": {"body": ""}}, {"job": {}}],
)
def test_what_is_carried_is_not_refused(provider: Object) -> None:
    assert carried.refused({"provider": provider}) == ""


# Arguments.


def test_arguments_are_put_into_every_string() -> None:
    known = {"name": "web", "n": "3"}
    given = {"query": "up{a='{{args.name}}',b='{{ args.name }}'}", "list": ["{{args.n}}"], "count": 1}
    assert arguments.substituted(given, known) == {"query": "up{a='web',b='web'}", "list": ["3"], "count": 1}


def test_an_argument_nobody_gave_is_said() -> None:
    with pytest.raises(arguments.Unresolved, match=r"failed to resolve \{\{args.other\}\}"):
        arguments.substituted("{{args.other}}", {})


# Through the controller.


class Api:
    """Secrets to be read; nothing else is asked of the API directly."""

    def __init__(self, **data: str) -> None:
        self.data = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        if kind is not core_v1.SECRET or name != "token":
            raise not_found(kind.plural, name)
        return {"data": self.data}


def analysis_run(metric: Object, **spec: Any) -> Object:
    metadata = {"name": "run", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"}
    status = {"phase": "Running", "startedAt": "2026-01-01T00:00:00Z"}
    body = {"metadata": metadata, "spec": {"metrics": [metric], **spec}, "status": status}
    return {"apiVersion": RUN.api_version, "kind": RUN.kind, **body}


async def turn(run: Object, web: Web, api: Api | None = None, *others: tuple[Kind, Object]) -> list[Any]:
    caches = Snapshot()
    caches.fill(RUN, [run])
    for kind, obj in others:
        caches.fill(kind, [obj])
    controller = AnalysisRunController(api or Api(), web, VirtualClock(NOW))
    made = await controller.reconcile(ObjectKey("shop", "run"), caches, NOW)
    return list(made.actions)


def status_of(actions: list[Any]) -> Object:
    return next(act.body["status"] for act in actions if isinstance(act, Patch))


async def test_a_run_measures_and_ends() -> None:
    actions = await turn(analysis_run(query()), prometheus("vector", [{"metric": {}, "value": [0, "1"]}]))
    status = status_of(actions)
    assert status["phase"] == "Successful"
    assert status["metricResults"][0]["metadata"] == {"ResolvedPrometheusQuery": "up"}
    assert [act.reason for act in actions if hasattr(act, "reason")] == ["MetricSuccessful", "AnalysisRunSuccessful"]


async def test_prometheus_that_is_down_is_an_error_measurement() -> None:
    actions = await turn(analysis_run(query()), Web(DialFailed("no answer within 30 s")))
    result = status_of(actions)["metricResults"][0]
    assert (result["phase"], result["error"]) == ("Running", 1)
    assert result["measurements"][0]["message"] == "no answer within 30 s"


async def test_a_secret_is_sent_and_never_written() -> None:
    arg = {"name": "key", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}
    metric = web_metric(headers=[{"key": "authorization", "value": "{{args.key}}"}])
    web = Web(Answer(200, {}, b'"hunter2 is wrong"'))
    actions = await turn(analysis_run(metric, args=[arg]), web, Api(k="hunter2"))
    assert web.asked[0][2] == {"authorization": "hunter2"}
    assert "hunter2" not in str(actions)


async def test_a_secret_in_a_query_is_never_written() -> None:
    arg = {"name": "key", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}
    web = prometheus("vector", [{"metric": {}, "value": [0, "1"]}])
    metric = {**query(), "provider": {"prometheus": {"query": "up{tenant='{{args.key}}'}"}}}
    actions = await turn(analysis_run(metric, args=[arg]), web, Api(k="hunter2"))
    assert b"hunter2" in web.asked[0][3]
    assert "hunter2" not in str(actions)


async def test_a_missing_secret_is_an_error() -> None:
    arg = {"name": "key", "valueFrom": {"secretKeyRef": {"name": "token", "key": "other"}}}
    actions = await turn(analysis_run(query(), args=[arg]), Web(Answer(200, {}, b"")), Api(k="x"))
    message = status_of(actions)["metricResults"][0]["measurements"][0]["message"]
    assert message == "Unable to resolve metric arguments: key 'other' does not exist in secret 'token'"


async def test_a_provider_that_is_not_carried_is_an_error_with_its_name() -> None:
    metric = {"name": "m", "provider": {"datadog": {"query": "x"}}}
    status = status_of(await turn(analysis_run(metric), Web(Answer(200, {}, b""))))
    said = "metric 'm' names provider 'datadog', which is not supported; use prometheus, web or job"
    assert (status["phase"], status["message"]) == ("Error", said)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"value": "many"}, "metric 'm' is not valid: count 'many' is no whole number"),
        ({"valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}, "count '{{args.n}}' is no whole number"),
    ],
)
async def test_an_argument_that_is_no_number_cannot_be_counted_by(argument: Object, message: str) -> None:
    run = analysis_run(query() | {"count": "{{args.n}}"}, args=[{"name": "n", **argument}])
    status = status_of(await turn(run, Web(DialFailed("never asked")), Api(k="3")))
    assert status["phase"] == "Error"
    assert message in status["message"]


async def test_a_run_without_a_value_for_its_argument_is_an_error() -> None:
    status = status_of(await turn(analysis_run(query() | {"interval": "{{args.every}}"}), Web(DialFailed("never"))))
    assert status["message"] == "Unable to resolve metric arguments: failed to resolve {{args.every}}"


async def test_an_argument_that_names_a_secret_argument_does_not_get_its_value() -> None:
    key = {"name": "key", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}
    web, metric = Web(Answer(200, {}, b"1")), web_metric(url="http://x/{{args.path}}")
    await turn(analysis_run(metric, args=[key, {"name": "path", "value": "{{args.key}}"}]), web, Api(k="hunter2"))
    assert web.asked[0][1] == "http://x/{{args.key}}"


JOB_METRIC = {"name": "smoke", "provider": {"job": {"spec": {"template": {"spec": {"containers": []}}}}}}


async def test_a_job_is_made_and_waited_for() -> None:
    actions = await turn(analysis_run(JOB_METRIC), Web(Answer(200, {}, b"")))
    made = next(act for act in actions if isinstance(act, Create))
    assert made.object["metadata"]["name"] == "u-1.smoke.1"
    assert made.object["metadata"]["labels"] == {"analysisrun.argoproj.io/uid": "u-1"}
    measurement = status_of(actions)["metricResults"][0]["measurements"][0]
    assert measurement["metadata"] == {"job-name": "u-1.smoke.1", "job-namespace": "shop"}


def waiting_for_a_job(**spec: Any) -> Object:
    run = analysis_run(JOB_METRIC, **spec)
    measurement = {
        "phase": "Running", "startedAt": "2026-01-01T00:00:00Z",
        "metadata": {"job-name": "u-1.smoke.1", "job-namespace": "shop"},
    }  # fmt: skip
    run["status"]["metricResults"] = [{"name": "smoke", "phase": "Running", "measurements": [measurement]}]
    return run


def job(type_: str) -> tuple[Kind, Object]:
    condition = {"type": type_, "status": "True", "message": "BackoffLimitExceeded"}
    metadata = {"name": "u-1.smoke.1", "namespace": "shop", "uid": "j"}
    return batch_v1.JOB, {"metadata": metadata, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(("condition", "phase"), [("Complete", "Successful"), ("Failed", "Failed")])
async def test_a_job_decides(condition: str, phase: str) -> None:
    actions = await turn(waiting_for_a_job(), Web(Answer(200, {}, b"")), None, job(condition))
    assert status_of(actions)["phase"] == phase


async def test_a_job_whose_image_cannot_be_pulled_is_inconclusive() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = {
        "metadata": {"name": "p", "namespace": "shop", "labels": {"job-name": "u-1.smoke.1"}},
        "status": {"containerStatuses": [waiting]},
    }
    actions = await turn(waiting_for_a_job(), Web(Answer(200, {}, b"")), None, job("Other"), (core_v1.POD, pod))
    assert status_of(actions)["phase"] == "Inconclusive"


async def test_a_terminated_run_deletes_its_job() -> None:
    actions = await turn(waiting_for_a_job(terminate=True), Web(Answer(200, {}, b"")), None, job("Other"))
    assert [act.key.name for act in actions if isinstance(act, Delete)] == ["u-1.smoke.1"]
    assert status_of(actions)["phase"] == "Inconclusive"


def test_a_jobs_name_fits_a_label() -> None:
    run = {"metadata": {"uid": "0" * 36}}
    name = jobs.job_name(run, "a-very-long-metric-name-that-goes-on", 1)
    assert len(name) <= 63
    assert name != jobs.job_name(run, "a-very-long-metric-name-that-goes-on", 2)
