"""CronJobs: defaults, refusals, tables, and when they are due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dabbawala.api import batch_v1, cron_schedule
from tests.api.kind_calls import prepared, row, wrong

KOLKATA = ZoneInfo("Asia/Kolkata")


def cron_job(**spec: Any) -> dict[str, Any]:
    pods = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}], **spec.pop("pods", {})}
    jobs = {"spec": {"template": {"spec": pods}, **spec.pop("jobs", {})}}
    return {
        "metadata": {"name": "nightly", "namespace": "shop"},
        "spec": {"schedule": "0 2 * * *", "jobTemplate": jobs, **spec},
    }


def test_a_cron_job_runs_jobs_side_by_side_and_keeps_some() -> None:
    spec = prepared(batch_v1.CRON_JOB, cron_job())["spec"]
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)
    jobs = spec["jobTemplate"]["spec"]
    assert jobs.keys() == {"template"}
    assert jobs["template"]["spec"]["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedule": ""}, "spec.schedule: Required value"),
        ({"schedule": "0 2 * *"},
         'spec.schedule: Invalid value: "0 2 * *": expected exactly 5 fields, found 4: [0 2 * *]'),
        ({"schedule": "61 2 * * *"},
         'spec.schedule: Invalid value: "61 2 * * *": end of range (61) above maximum (59): 61'),
        ({"schedule": "TZ=Asia/Kolkata 0 2 * * *"},
         'spec.schedule: Invalid value: "TZ=Asia/Kolkata 0 2 * * *": cannot use TZ or CRON_TZ in schedule, use '
         "timeZone field instead"),
        ({"timeZone": "Asia/Bombay"}, 'spec.timeZone: Invalid value: "Asia/Bombay": unknown time zone Asia/Bombay'),
        ({"timeZone": "../etc/passwd"},
         'spec.timeZone: Invalid value: "../etc/passwd": unknown time zone ../etc/passwd'),
        ({"timeZone": "Local"}, 'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as '
         "defined in https://www.iana.org/time-zones"),
        ({"timeZone": ""}, 'spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string'),
        ({"concurrencyPolicy": "Wait"},
         'spec.concurrencyPolicy: Unsupported value: "Wait": supported values: "Allow", "Forbid", "Replace"'),
        ({"startingDeadlineSeconds": -1},
         "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"),
        ({"failedJobsHistoryLimit": -1},
         "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"),
        ({"jobs": {"selector": {"matchLabels": {"a": "b"}}}},
         'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated'),
        ({"jobs": {"backoffLimit": -1}},
         "spec.jobTemplate.spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        ({"pods": {"restartPolicy": "Always"}},
         'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
    ],
)  # fmt: skip
def test_refuses_a_bad_cron_job(spec: dict[str, Any], expected: str) -> None:
    assert wrong(batch_v1.CRON_JOB, cron_job(**spec)) == [expected]


def test_the_name_of_a_cron_job_leaves_room_for_those_of_its_jobs() -> None:
    obj = cron_job()
    obj["metadata"]["name"] = "n" * 53
    assert wrong(batch_v1.CRON_JOB, obj) == [
        f'metadata.name: Invalid value: "{"n" * 53}": must be no more than 52 characters'
    ]
    assert wrong(batch_v1.CRON_JOB, obj, prepared(batch_v1.CRON_JOB, obj)) == []


def test_a_cron_job_shows_when_it_ran_last() -> None:
    obj = prepared(batch_v1.CRON_JOB, cron_job(timeZone="Asia/Kolkata"))
    assert row(batch_v1.CRON_JOB, obj, wide=True) == [
        "nightly", "0 2 * * *", "Asia/Kolkata", "False", 0, "<none>", "<unknown>", "a", "a:1", "<none>",
    ]  # fmt: skip
    obj["status"] = {"active": [{}], "lastScheduleTime": "2026-01-01T11:00:00Z"}
    assert row(batch_v1.CRON_JOB, obj)[4:6] == [1, "60m"]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("*/15 * * * *", "2026-02-27T12:15"),
        ("0 2 * * *", "2026-02-28T02:00"),
        ("@daily", "2026-02-28T00:00"),
        ("@hourly", "2026-02-27T13:00"),
        ("@weekly", "2026-03-01T00:00"),
        ("@monthly", "2026-03-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("0 9-17/4 * * MON-FRI", "2026-02-27T13:00"),
        ("30 10 31 * *", "2026-03-31T10:30"),
        ("0 0 29 feb ?", "2028-02-29T00:00"),
        ("0 0 13 * fri", "2026-03-06T00:00"),  # either day, as both are given
        ("0 0 */2 * mon", "2026-03-01T00:00"),  # a step is no star: an odd day or a Monday
        ("@every 1h30m", "2026-02-27T13:33"),
    ],
)
def test_a_schedule_is_due_by_the_clocks_of_its_zone(schedule: str, due: str) -> None:
    now = datetime(2026, 2, 27, 12, 3, tzinfo=KOLKATA)
    found = cron_schedule.parse(schedule).next_after(now.astimezone(UTC), KOLKATA)
    assert found is not None
    assert found.strftime("%Y-%m-%dT%H:%M") == due


def test_a_day_that_never_comes_is_never_due() -> None:
    assert cron_schedule.parse("0 0 31 2 *").next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_an_hour_that_clocks_skip_is_skipped_and_one_that_they_repeat_is_repeated() -> None:
    zone = ZoneInfo("Europe/Berlin")
    half_past_two = cron_schedule.parse("30 2 * * *")
    spring = half_past_two.next_after(datetime(2026, 3, 29, 0, 0, tzinfo=zone), zone)
    assert spring is not None
    assert (spring.day, spring.hour) == (30, 2)
    first = half_past_two.next_after(datetime(2026, 10, 25, 0, 0, tzinfo=zone), zone)
    assert first is not None
    second = half_past_two.next_after(first, zone)
    assert second is not None
    assert [moment.astimezone(UTC).strftime("%d %H:%M") for moment in (first, second)] == ["25 00:30", "25 01:30"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@never", "unrecognized descriptor: @never"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("0 0 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
    ],
)
def test_what_is_no_schedule_is_refused_in_crons_words(text: str, expected: str) -> None:
    with pytest.raises(cron_schedule.ScheduleError) as caught:
        cron_schedule.parse(text)
    assert str(caught.value) == expected
