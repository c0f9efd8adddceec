"""`python -m usagestream` is the command `usagestream`."""

from importlib.metadata import entry_points

# By its entry point: the command stands above this package, which does not import it.
(command,) = entry_points(group="console_scripts", name="usagestream")
command.load()(prog_name="usagestream")
