"""Fail unless a wheel holds exactly the packages it should, with their `py.typed` markers."""

import sys
import zipfile
from pathlib import PurePosixPath

PACKAGES = {"usagestream", "usagestream_adapters", "usagestream_core"}

names = [PurePosixPath(name) for name in zipfile.ZipFile(sys.argv[1]).namelist()]
found = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")}
if found != PACKAGES:
    sys.exit(f"The wheel's top-level names are {sorted(found)}, not {sorted(PACKAGES)}")
untyped = {name for name in PACKAGES if PurePosixPath(name, "py.typed") not in names}
if untyped:
    sys.exit(f"No py.typed in {sorted(untyped)}")
print("top-level names:", ", ".join(sorted(found)))
