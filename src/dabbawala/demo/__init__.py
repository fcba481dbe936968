"""The main job: two services released under live traffic, and the report."""
