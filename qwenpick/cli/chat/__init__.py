"""The chat on a terminal: the prompt, and the stream of an answer."""
