"""From a pick's settings to the engine's arguments."""
