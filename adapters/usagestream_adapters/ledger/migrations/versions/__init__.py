"""One module for each version of the schema, which stays as it was when it was released."""
