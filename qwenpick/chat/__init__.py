"""Messages: a conversation and its prompt, checkpoints, generation, tools. No disk, no terminal."""
