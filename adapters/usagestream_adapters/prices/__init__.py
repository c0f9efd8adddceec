"""What tokens cost: the user's price file and a price list. The sum is the core's business."""

from ._prices import MISSING, PriceList, installed_pricer

__all__ = ["MISSING", "PriceList", "installed_pricer"]
