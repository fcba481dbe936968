"""What runs the containers: sandboxed processes of this machine, or nothing at all (simulated)."""
