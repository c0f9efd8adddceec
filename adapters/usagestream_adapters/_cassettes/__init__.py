"""What every tool here knows of a cassette: its format, its secrets, and which request is which."""
