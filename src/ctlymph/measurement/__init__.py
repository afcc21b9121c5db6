"""From marks to masks, and from masks to sizes."""
