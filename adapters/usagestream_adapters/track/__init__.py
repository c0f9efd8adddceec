"""Usage of the openai SDK calls that a program already makes; nothing that it sees is changed.

    client = track(OpenAI(), on_record=print)

`track` takes an SDK client and gives back one that behaves the same and leaves one record for each
call. `meter` does the same for one stream that somebody else has opened.
"""

from .client import track
from .items import MeteredAsyncItems, MeteredItems, meter

__all__ = ["MeteredAsyncItems", "MeteredItems", "meter", "track"]
