"""What of a dataset's settings becomes public with a release."""

import json

from tasks.publishing.evidence import public_params
from tests.datasets import dataset_params


def test_what_is_done_around_a_dataset_is_in_no_release() -> None:
    params = dataset_params(
        schedule="@daily", approval="required", alerts={"mail": ["ops@example.org"]}
    )
    public = json.dumps(public_params(params))
    assert not any(word in public for word in ("@daily", "approval", "ops@example.org", "alerts"))
