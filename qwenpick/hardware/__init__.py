"""What is here: the machine, as it is."""
