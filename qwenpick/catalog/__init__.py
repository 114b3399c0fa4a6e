"""The table: which sizes and files there are, and what is known of them."""
