"""The account of a transfer: what is counted, what is kept, and what is told at once."""

from sluicegate.sources.tally import MAX_EVENTS, Tally


def test_what_happens_is_kept_with_its_time() -> None:
    tally = Tally()
    tally.retried(1.0)
    tally.resumed(2.0)
    tally.park(3.0)
    tally.unpark(5.5)
    assert tally == Tally(
        retries=1,
        resumes=1,
        parkings=1,
        parked_seconds=2.5,
        events=((1.0, "retry"), (2.0, "resume"), (3.0, "park"), (5.5, "unpark")),
    )


def test_events_are_bounded_and_counts_are_not() -> None:
    tally = Tally()
    for second in range(1000):
        tally.resumed(float(second))
    assert (tally.resumes, len(tally.events)) == (1000, MAX_EVENTS)
    assert tally.events[-1] == (MAX_EVENTS - 1.0, "resume")


def test_parking_is_told_when_it_begins_and_when_it_ends() -> None:
    told: list[int] = []
    tally = Tally(note_parked=told.append)
    tally.park(1.0)
    assert told == [1]
    tally.unpark(2.0)
    assert told == [1, -1]


def test_end_of_no_parking_is_nothing() -> None:
    told: list[int] = []
    tally = Tally(note_parked=told.append)
    tally.unpark(1.0)
    tally.park(2.0)
    tally.unpark(3.0)
    tally.unpark(4.0)
    assert (told, tally.parked_seconds) == ([1, -1], 1.0)
