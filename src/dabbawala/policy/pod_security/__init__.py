"""The Pod Security Standards: which pods a level allows, by the version of the policy, word for word as upstream."""
