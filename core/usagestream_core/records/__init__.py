"""Where records go, to the end of the program; how a stream ended is not decided here."""
