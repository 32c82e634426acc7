import pytest

from tasks.errors import ParamsError
from tasks.operation import AccessParams
from tasks.params import validated


def test_nobody_is_named_unless_asked_for() -> None:
    assert AccessParams().roles is None
    assert AccessParams().operators == []


def test_operators_say_who_else_sees_it() -> None:
    given = validated(AccessParams, {"roles": [], "operators": ["A"]}, "access")
    assert (given.roles, given.operators) == ([], ["A"])
    with pytest.raises(ParamsError, match="operators need roles; write `roles: \\[\\]`"):
        validated(AccessParams, {"operators": ["A"]}, "access")
