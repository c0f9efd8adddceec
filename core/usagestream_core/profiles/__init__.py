"""Where profiles are found, and how they are resolved and listed; nothing is sent."""
