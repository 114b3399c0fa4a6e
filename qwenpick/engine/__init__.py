"""Tokens: one model and one context of llama.cpp, its samplers. No other room has it."""
