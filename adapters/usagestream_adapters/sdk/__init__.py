"""What whoever uses the openai SDK here shares; which provider it is, is not known."""
