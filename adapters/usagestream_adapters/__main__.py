"""`python -m usagestream_adapters` is the command `usagestream`."""

from .cli import main

main(prog_name="usagestream")
