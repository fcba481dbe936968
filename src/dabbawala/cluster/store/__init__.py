"""The append log every object lives in."""
