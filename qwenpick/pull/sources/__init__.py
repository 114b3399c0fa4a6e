"""Where files come from: the Hugging Face Hub, its chunk store (xet), ModelScope, the web."""
