"""Adapters for usagestream: everything that talks to a provider, or to the outside at all."""

from ._chat_wire import ChatDecoder

__all__ = ["ChatDecoder"]
