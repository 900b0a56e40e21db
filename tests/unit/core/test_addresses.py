import pytest

from stockade.core.addresses import is_new_address


@pytest.mark.parametrize(
    "value",
    [
        "ana@example.org",
        "Ana.Maria+tag@Example.co.uk",
        "a_b@xn--bcher-kva.ch",
        "o'b@example.ie",
    ],
)
def test_an_address_that_mails_reach_is_taken(value: str) -> None:
    """Capitals as well: they are lowered later."""
    assert is_new_address(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ana",
        "ana@localhost",
        "ana@example",
        "ana@127.0.0.1",
        "ana@[127.0.0.1]",
        "ana@example.org\n",
        " ana@example.org",
        "ana@example.org, eve@example.org",
        "ana@bücher.ch",
        "\u0430na@example.org",
        "mi\u212ae@example.org",
        "ana@exampl\uff45.org",
        "Ana <ana@example.org>",
        "ana@xn--.org",
        f"{'a' * 65}@example.org",
        f"ana@{'a' * 64}.org",
        f"ana@{'a.' * 130}org",
    ],
    ids=ascii,
)
def test_another_address_is_refused(value: str) -> None:
    """No name, no list, no machine, and no letter that only looks like one of ours."""
    assert not is_new_address(value)
