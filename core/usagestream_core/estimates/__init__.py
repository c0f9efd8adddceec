"""What nobody reported, from what could be seen; it never touches what was reported."""
