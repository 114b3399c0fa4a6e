"""Talk to it: the engine, its turns, its sessions."""
