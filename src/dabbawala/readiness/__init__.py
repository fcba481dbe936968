"""Whether a service may go to production: 42 items, each judged by what the cluster shows or by dated evidence."""
