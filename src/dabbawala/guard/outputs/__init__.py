"""What a report looks like: for a person, for a pipeline, for a dashboard. Equal reports give equal bytes."""
