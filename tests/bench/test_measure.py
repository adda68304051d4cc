"""What downloads come to: who takes part when, and ratios to the first contestant in the same rounds."""

from bench.measure import Comparison, Contestant, Sample, in_turns, summarize


def test_contestants_take_turns_and_the_warm_up_is_not_counted() -> None:
    seen: list[str] = []

    def run(contestant: Contestant) -> int:
        seen.append(contestant.name)
        return len(seen)

    contestants = [Contestant("a", ""), Contestant("b", ""), Contestant("slow", "", rounds=1)]
    results = in_turns(contestants, run, rounds=2, progress=lambda _: None)

    assert seen == ["a", "b", "a", "b", "slow", "a", "b"]
    assert results == {"a": [3, 6], "b": [4, 7], "slow": [5]}


def test_without_warm_up_every_round_counts() -> None:
    results = in_turns(
        [Contestant("a", "")], lambda one: one.name, rounds=2, progress=lambda _: None, warm_up=False
    )

    assert results == {"a": ["a", "a"]}


def test_ratios_are_to_the_first_contestant_round_by_round() -> None:
    first = [Sample(1.0, 0.5), Sample(2.0, 0.5), Sample(4.0, 1.0)]
    own = [Sample(2.0, 1.0), Sample(2.0, 2.0), Sample(2.0, 1.0)]

    assert summarize("own", own, first) == Comparison(
        name="own",
        wall_seconds=2.0,
        cpu_seconds=4 / 3,
        wall_ratio=1.0,
        cpu_ratio=2.0,
        shortest=2.0,
        longest=2.0,
        peak_bytes=None,
    )


def test_who_took_part_in_fewer_rounds_is_compared_in_those() -> None:
    first = [Sample(1.0, 0.5), Sample(100.0, 50.0)]

    result = summarize("own", [Sample(2.0, 1.0)], first)

    assert (result.wall_ratio, result.cpu_ratio) == (2.0, 2.0)


def test_uncached_downloads_ask_for_another_address_each_time() -> None:
    uncached, usual = Contestant("a", "http://a/b", uncached=True), Contestant("a", "http://a/b")

    assert uncached.next_url() != uncached.next_url()
    assert usual.next_url() == usual.next_url() == "http://a/b"
