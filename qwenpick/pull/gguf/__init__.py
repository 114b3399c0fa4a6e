"""GGUF files: the header and what it means."""
