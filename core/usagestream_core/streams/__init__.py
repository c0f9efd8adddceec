"""One stream from its request to its record; no provider by name, and no file."""
