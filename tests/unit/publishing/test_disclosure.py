import pytest

from tasks.publishing.disclosure import (
    WITHHELD,
    public_source,
    public_text,
    public_value,
    public_verdict,
)


@pytest.mark.parametrize(
    "text",
    [
        "/home/ada/data.csv",
        "~/data.csv",
        "C:\\data.csv",
        "\\\\server\\share",
        "postgresql://ada:secret@db.local/shop",
        "from /srv/shop/data.csv",
        "s3://bucket/key",
        "x" * 501,
    ],
)
def test_paths_and_addresses_are_withheld(text: str) -> None:
    assert public_text(text) == WITHHELD


@pytest.mark.parametrize("text", ["gelu", "my_lab.models:Flow", "a/b tests", "2024-01-01", "≥ 3"])
def test_ordinary_texts_are_kept(text: str) -> None:
    assert public_text(text) == text


def test_revealing_texts_are_found_however_deep() -> None:
    assert public_value({"a": [{"b": "/etc/x"}, 1, None, True]}) == {
        "a": [{"b": WITHHELD}, 1, None, True]
    }


def test_of_a_source_only_the_type_is_public() -> None:
    source = {"type": "sql", "query": "select 1", "connection": "SHOP"}
    assert public_source(source) == {"type": "sql", "withheld": ["connection", "query"]}


@pytest.mark.parametrize("of_real_data", [True, False])
def test_what_was_observed_is_public_of_synthetic_data_only(of_real_data: bool) -> None:
    verdict = {
        "gate": "raw",
        "passed": True,
        "host": "laptop",
        "checks": [{"type": "t", "passed": True, "observed": "Ada Lovelace"}],
    }
    expected = {"type": "t", "passed": True}
    if not of_real_data:
        expected["observed"] = "Ada Lovelace"
    found = public_verdict(verdict, of_real_data=of_real_data)
    assert found == {"gate": "raw", "passed": True, "checks": [expected]}
