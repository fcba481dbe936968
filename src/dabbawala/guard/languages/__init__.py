"""What other languages say: shell, Dockerfiles, PromQL, pipelines, read into plain data that checks can ask."""
