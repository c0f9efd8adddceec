"""The Azure OpenAI adapter: addresses, deployments and credentials. The wire is OpenAI's."""

from ._adapter import AzureAdapter
from ._profile import AzureProfile

__all__ = ["AzureAdapter", "AzureProfile"]
