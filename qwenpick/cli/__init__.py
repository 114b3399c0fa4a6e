"""The only door: commands parse, call and print; they decide nothing."""
