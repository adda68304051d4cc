"""Files and folders that a configuration names: found beside the configuration file, and there."""

import os.path
from pathlib import Path

from .errors import Report
from .lines import Location


def existing_file(base: Path, name: str, location: Location, report: Report) -> str:
    """Return the absolute path of a file named relative to `base`; reports one that is not there."""
    path = (base / name).absolute()
    if not os.path.isfile(path):  # unlike Path.is_file, false where it may not look
        report.add_value(location, name, f"a file that exists (looked for {str(path)!r})")
    return str(path)


def existing_folder(base: Path, name: str, location: Location, report: Report) -> Path:
    """Return the absolute path of a folder named relative to `base`; reports one that is not there."""
    path = (base / name).absolute()
    if not os.path.isdir(path):
        report.add_value(location, name, f"a folder that exists (looked for {str(path)!r})")
    return path
