"""From the tables of `cors` to checked policies: which sites' scripts may read answers."""

from sluicegate.http.cors import CorsPolicy

from .errors import Report
from .lines import Location
from .tables import CorsTable


def build_cors(table: CorsTable | None, location: Location, report: Report) -> CorsPolicy | None:
    """Return the policy of a table; None where no site may read, or where it cannot be used."""
    if table is None:
        return None
    if table.origins is None:
        if not report.has((*location, "origins")):
            report.add((*location, "origins"), "nothing", "origins such as 'https://app.example.com', or '*'")
        return None
    settings = {"credentials": table.credentials, "max_age_seconds": table.max_age}
    given = {key: value for key, value in settings.items() if value is not None}
    try:
        policy = CorsPolicy(origins=frozenset(table.origins), **given)  # type: ignore[arg-type]
    except ValueError as exc:
        report.add((*location, "credentials"), "true", str(exc))
        return None
    return policy if table.origins else None
