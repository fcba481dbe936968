"""PromQL over samples in memory, with the semantics of Prometheus 3. Parsing is promql-parser's, evaluation ours."""
