"""Bring it here: plan, fetch, verify, find."""
