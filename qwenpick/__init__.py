"""Picks and runs the right size of Qwen3.5 on any machine."""

__version__ = "0.1.0"
