"""Who and where Azure OpenAI is, and with what credential; no second way to read its wire."""

from ._adapter import AzureAdapter
from ._profile import AzureProfile

__all__ = ["AzureAdapter", "AzureProfile"]
