"""How a local server lives and ends; what it answers is not known here."""
