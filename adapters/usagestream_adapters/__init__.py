"""Adapters for usagestream: everything that talks to a provider, or to the outside at all."""
