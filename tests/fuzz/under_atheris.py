"""One target under atheris: `python -m tests.fuzz.under_atheris TARGET [ARGUMENTS OF LIBFUZZER]`.

A process of its own: libFuzzer ends it at the first finding, and when its time is over.
"""

import sys

import atheris


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name = sys.argv.pop(1)
    # Not those for regular expressions: they fail for patterns of bytes.
    atheris.enabled_hooks.add("str")
    with atheris.instrument_imports(include=["sluicegate"]):
        from .targets import TARGETS  # noqa: PLC0415
    target = TARGETS[name]
    # What a target opens at its first call is no part of what an input does.
    target(b"")
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
