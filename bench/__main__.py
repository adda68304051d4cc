"""Lists the benchmarks, or runs one, or all of them: `python -m bench [NAME] [ARGUMENTS]`."""

import sys
from importlib import import_module

NAMES = ("ten_megabytes", "memory", "iterators", "unbroken", "breaks", "slow_origin", "stalled", "aborted")
DOCUMENT = "document"


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names; return the exit status."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_help())
        return 0
    name, *others = arguments
    name = name.replace("-", "_")
    if name not in (*NAMES, "all", DOCUMENT):
        print(f"no benchmark {name!r}\n\n{_help()}", file=sys.stderr)
        return 2
    for chosen in NAMES if name == "all" else (name,):
        print(f"== {chosen}", flush=True)
        import_module(f"bench.{chosen}").main(others)
    return 0


def _help() -> str:
    width = max(map(len, NAMES))
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in NAMES]
    return "\n".join(
        [
            "python -m bench NAME [ARGUMENTS]   (NAME --help shows its arguments)",
            "",
            *lines,
            "",
            "  all: each",
            f"  {DOCUMENT}: {_summary(DOCUMENT)}",
        ]
    )


def _summary(name: str) -> str:
    return (import_module(f"bench.{name}").__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
