"""What a cassette is, and what in it is secret; nothing is sent or served from here."""
