"""What is known of attacks on services like this one: each public report has tests that are named after it.

`docs/security.md` has the same list in words.
"""

import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
SECURITY: Final = TESTS.parent / "docs" / "security.md"

KNOWN_ATTACKS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "CVE-2025-62727": (
        ("http/test_ranges.py", "test_cve_2025_62727_range_without_end_costs_no_more_than_its_length"),
    ),
    "CVE-2011-3192": (
        ("http/test_ranges.py", "test_cve_2011_3192_overlapping_ranges_are_no_more_than_the_object"),
        ("gateway/test_attacks.py", "test_cve_2011_3192_ranges_that_overlap_cost_one_read_of_the_object"),
    ),
    "RangeAmp": (("gateway/test_attacks.py", "test_rangeamp_few_bytes_cost_the_origin_few_bytes"),),
    "nginx-s3-gateway#551": (
        ("gateway/test_guarded.py", "test_nginx_s3_gateway_551_only_the_methods_of_a_route_reach_its_origin"),
    ),
    "caddy#7941": (("gateway/test_attacks.py", "test_caddy_7941_path_is_guarded_as_it_is_served"),),
    "CVE-2023-37474": (
        ("gateway/test_attacks.py", "test_cve_2023_37474_encoded_slashes_do_not_leave_the_folder"),
    ),
    "GHSA-qw24-gh76-8rvv": (
        ("gateway/test_attacks.py", "test_ghsa_qw24_gh76_8rvv_no_store_is_made_of_what_a_client_writes"),
    ),
    "thumbor-aws#394": (
        ("gateway/test_guarded.py", "test_thumbor_aws_394_a_request_names_a_store_of_the_list_alone"),
    ),
    "imgproxy 3.15.0": (
        ("sources/test_addresses.py", "test_imgproxy_3_15_0_name_of_special_addresses_is_refused"),
        ("sources/test_addresses.py", "test_imgproxy_3_15_0_names_of_the_machine_itself_are_refused"),
        ("sources/test_addresses.py", "test_imgproxy_3_15_0_what_the_system_reads_as_an_address_is_checked"),
    ),
    "imgproxy 3.27.2": (
        ("http/test_addresses.py", "test_imgproxy_3_27_2_special_address_is_not_public"),
        ("sources/test_addresses.py", "test_imgproxy_3_27_2_literal_addresses_are_checked_too"),
    ),
    "imgproxy 4.0.12": (
        ("http/test_addresses.py", "test_imgproxy_4_0_12_ipv4_inside_ipv6_is_as_public_as_itself"),
        ("sources/test_addresses.py", "test_imgproxy_4_0_12_address_that_is_checked_is_the_one_connected_to"),
        ("sources/test_addresses.py", "test_imgproxy_4_0_12_name_that_turns_private_is_not_connected_to"),
    ),
    "CVE-2025-57752": (
        ("gateway/test_attacks.py", "test_cve_2025_57752_guarded_answers_are_for_no_shared_cache"),
    ),
    "imgproxy#1677": (
        ("gateway/test_attacks.py", "test_imgproxy_1677_failure_is_not_kept_for_a_year"),
        ("gateway/test_attacks.py", "test_imgproxy_1677_range_outside_the_object_is_not_kept_for_a_year"),
    ),
    "nginx#1611": (
        (
            "reliability/test_bad_answers.py",
            "test_nginx_1611_slices_of_two_versions_are_never_joined",
        ),
    ),
    "envoy#41047": (
        (
            "sources/test_credentials.py",
            "test_envoy_41047_credentials_are_replaced_before_they_expire",
        ),
    ),
    "GO-2026-6188": (
        ("sources/test_addresses.py", "test_rclone_go_2026_6188_credentials_stay_at_their_origin"),
        (
            "sources/test_addresses.py",
            "test_rclone_go_2026_6188_credentials_do_not_come_back_with_a_redirect_back",
        ),
    ),
    # Names inside ZIP archives: no archive is made or unpacked here, so there is nothing to clean.
    "GHSA-gxjx-7m74-hcq8": (),
    "GHSA-mr74-928f-rw69": (
        (
            "gateway/test_attacks.py",
            "test_ghsa_mr74_928f_rw69_link_of_a_folder_opens_no_folder_beside_it",
        ),
    ),
    "CVE-2026-48710": (("gateway/test_guarded.py", "test_cve_2026_48710_the_host_field_decides_on_nothing"),),
}

WITHOUT_SUBJECT: Final = {"GHSA-gxjx-7m74-hcq8"}
"""Reports about what does not exist here."""

NAMED: Final = [
    pytest.param(report, file, name, id=name)
    for report, tests in KNOWN_ATTACKS.items()
    for file, name in tests
]


@pytest.mark.parametrize(("report", "file", "name"), NAMED)
def test_report_has_the_test_that_is_named_after_it(report: str, file: str, name: str) -> None:
    source = (TESTS / file).read_text("utf-8")
    assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE)
    assert re.sub(r"[^a-z0-9]+", "_", report.lower()) in name


def test_every_report_has_a_test_or_no_subject() -> None:
    assert {report for report, tests in KNOWN_ATTACKS.items() if not tests} == WITHOUT_SUBJECT


def test_documents_list_the_same_reports() -> None:
    section = SECURITY.read_text("utf-8").partition("## Known attacks")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")][1:]
    listed = [report.strip() for row in rows for report in row.split(",")]
    assert sorted(listed) == sorted(KNOWN_ATTACKS)
