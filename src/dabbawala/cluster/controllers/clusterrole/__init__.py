"""ClusterRole: what an aggregated one shows follows the roles it gathers."""
