"""The page of the settings says what the settings are."""

from scripts.settings_reference import END, PAGE, START, render


def test_the_tables_are_current() -> None:
    """The page holds what the script writes: else run ``python scripts/settings_reference.py``."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(START)

    assert rest.partition(END)[0].strip() == render()


def test_every_setting_has_a_meaning_and_a_default() -> None:
    """No cell of the tables is empty, so that every setting says its unit and its default."""
    rows = [line for line in render().splitlines() if line.startswith("| `")]

    assert rows
    assert all(cell.strip() for row in rows for cell in row.strip("|").split(" | "))
