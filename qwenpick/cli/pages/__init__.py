"""What a person sees: one file for each kind of page."""
