# ruff: noqa: E501  a query stands on one line, as users write it
"""The queries of the scenarios, and a broad table of everything else."""

from __future__ import annotations

CANARY = 'job="product-search",rollouts_pod_template_hash="aaa"'

SCENARIOS = {
    "S005 success rate": f'sum(rate(http_requests_total{{{CANARY},status!~"5.."}}[5m])) / sum(rate(http_requests_total{{{CANARY}}}[5m]))',
    "S006 p95": f"histogram_quantile(0.95, sum(rate(http_request_duration_seconds_bucket{{{CANARY}}}[5m])) by (le))",
    "S007 conversion": '(sum(rate(ecommerce_conversions_total{rollouts_pod_template_hash="aaa"}[10m])) / sum(rate(ecommerce_page_views_total{rollouts_pod_template_hash="aaa"}[10m]))) / (sum(rate(ecommerce_conversions_total{rollouts_pod_template_hash="bbb"}[10m])) / sum(rate(ecommerce_page_views_total{rollouts_pod_template_hash="bbb"}[10m])))',
    "S160 payment failures": "rate(payment_requests_failed_total[5m]) / rate(payment_requests_total[5m]) * 100 > 5",
    "S161 traffic": "sum(rate(http_requests_total[1m])) > 1",
    "S162 inventory": 'inventory_available{category="electronics"} / inventory_initial{category="electronics"} < 0.9',
    "S163 transactions": 'increase(transactions_amount_total{amount_range=">2lakh"}[1h]) > 50',
    "S164 pool": "database_connections_active / on(pool) database_connections_max > 0.1",
    "S165 cache": "rate(cache_hits_total[5m]) / (rate(cache_hits_total[5m]) + rate(cache_misses_total[5m])) < 0.8",
    "S166 GMV": "sum(increase(order_value_inr_total[24h]))",
    "S167 orders a minute": "sum(rate(orders_total[1m])) * 60",
    "S168 gateways": "sum(rate(payment_success_total[5m])) by (gateway) / sum(rate(payment_total[5m])) by (gateway) * 100",
    "S169 regions": "sum(rate(http_requests_total[5m])) by (region)",
    "S170 database": "avg(database_query_duration_seconds) by (region, db_type)",
    "S171 cpu": "rate(container_cpu_usage_seconds_total[5m])",
    "S171 memory": "container_memory_usage_bytes / container_spec_memory_limit_bytes * 100",
}

BROAD = [
    "temperature", "-temperature", "temperature * 2 - 1 ^ 2", "2 ^ 3 ^ 2", "-2 ^ 2", "temperature % 7", "7 / 0 * temperature",
    "temperature > 100", "temperature > bool 100", "100 < temperature", "100 < bool temperature", "1 == bool 1",
    "sum(temperature atan2 temperature)", 'temperature{room=~"1|2"}', 'temperature{room!~"1"}', 'http_requests_total{status=~"4.*"}',
    "irate(orders_total[5m])", "increase(orders_total[17m])", "delta(temperature[10m])", "idelta(temperature[10m])",
    "deriv(temperature[10m])", "predict_linear(temperature[10m], 3600)", "changes(temperature[10m])", "resets(orders_total[1h])",
    "rate(sparse[20m])", "sparse", "absent(sparse)", 'absent(nothing{a="b",c=~"d"})', "absent_over_time(nothing[5m])",
    "sum_over_time(temperature[10m])", "avg_over_time(temperature[10m])", "min_over_time(temperature[10m])",
    "max_over_time(temperature[10m])", "count_over_time(sparse[1h])", "stddev_over_time(temperature[10m])",
    "stdvar_over_time(temperature[10m])", "last_over_time(temperature[10m])", "present_over_time(sparse[1h])",
    "quantile_over_time(0.9, temperature[10m])", "quantile_over_time(-1, temperature[10m])",
    "sum(http_requests_total)", "sum by (status) (http_requests_total)", "sum without (status, region) (http_requests_total)",
    "avg(http_requests_total)", "min(temperature)", "max(temperature)", "count(http_requests_total) by (status)",
    "group(http_requests_total) by (region)", "stddev(http_requests_total)", "stdvar(http_requests_total)",
    "quantile(0.3, http_requests_total)", "topk(3, http_requests_total)", "bottomk(2, http_requests_total)",
    "topk(1, http_requests_total) by (region)", 'count_values("value", inventory_initial)',
    "container_memory_usage_bytes * on(pod) group_left(node) pod_info", "pod_info * on(pod) group_right(node) container_memory_usage_bytes",
    "container_memory_usage_bytes and on(pod) pod_info", "container_memory_usage_bytes unless on(pod) pod_info",
    'pod_info or container_memory_usage_bytes{pod="c"}', "inventory_available / ignoring(x) inventory_initial",
    "temperature offset 10m", "temperature offset -5m", "sum(temperature @ 1760000000)", "rate(orders_total[5m] offset 5m)",
    "temperature @ end()", "temperature @ start()",
    "max_over_time(rate(orders_total[5m])[30m:1m] offset 7s)", "avg_over_time(temperature[20m:90s] offset 7s)", "rate(orders_total[5m:30s] offset 7s)",
    "sum_over_time((temperature > 0)[10m:] offset 7s)",
    "abs(temperature - 500)", "ceil(temperature)", "floor(temperature)", "round(temperature)", "round(temperature, 0.3)", "exp(temperature / 1000)",
    "ln(temperature)", "log2(temperature)", "log10(temperature)", "sqrt(temperature)", "sgn(temperature - 300)",
    "clamp(temperature, 100, 300)", "clamp_min(temperature, 300)", "clamp_max(temperature, 300)", "clamp(temperature, 3, 1)",
    "sort(http_requests_total)", "sort_desc(http_requests_total)", "time()", "vector(3)", "scalar(temperature)", 'scalar(temperature{room="1"})',
    "timestamp(temperature)", "minute()", "hour(vector(1760000000))", "day_of_week()", "day_of_month()", "days_in_month()", "month()", "year()",
    "day_of_year()", "pi()", "sin(temperature)", "deg(temperature)", "acos(temperature)", "atanh(temperature)",
    'label_replace(temperature, "place", "room-$1", "room", "(.*)")', 'label_replace(temperature, "place", "x$1", "room", "(3)")',
    'label_join(http_requests_total, "both", "-", "status", "region")',
    "histogram_quantile(0.5, http_request_duration_seconds_bucket)", "histogram_quantile(1.2, http_request_duration_seconds_bucket)",
    "histogram_quantile(0, http_request_duration_seconds_bucket)", "histogram_quantile(0.999, rate(http_request_duration_seconds_bucket[10m]))",
    'histogram_quantile(0.9, http_request_duration_seconds_bucket{le!="+Inf"})',
    '{__name__=~"inventory_.*"}', "count({__name__!=\"\"})", "nothing + 1", "sum(nothing)", "1 + 2", '"text"',
]  # fmt: skip

ERRORS = [
    "rate(temperature)", "temperature{", "sum(temperature[5m])", "unknown_function(temperature)",
    "http_requests_total / on(region) http_requests_total", "http_requests_total * on(region) group_left temperature_x or vector(1) / 0 == 1 == 2 +",
    'label_replace(temperature, "0bad", "x", "room", "(.*)")', 'label_replace(temperature, "room", "same", "room", ".*")',
]  # fmt: skip
