"""Networks that look at whole regions, and how networks learn."""
