"""What the API's description allows, and what it does not, never ends in a fault of ours."""

import pytest

schemathesis = pytest.importorskip("schemathesis")
hypothesis = pytest.importorskip("hypothesis")

EXAMPLES = 12  # of each operation; an upload starts a process


@pytest.mark.slow
def test_no_request_is_answered_with_a_fault(service):
    from schemathesis.checks import not_a_server_error

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def hold(case):
            case.call_and_validate(checks=[not_a_server_error], timeout=120)

        hold()
        asked.append(f"{operation.method.upper()} {operation.path}")
    assert "GET /api/songs/{song}/audio" in asked
    assert len(asked) == 13
