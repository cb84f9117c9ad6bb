import pytest

from sinks.stores._postgres_migrations import Applied, Migration, MigrationError, in_order, pending, shipped

FIRST = Migration(1, "history", "CREATE TABLE a ();")
SECOND = Migration(2, "more", "CREATE TABLE b ();")


def applied(*migrations: Migration) -> list[Applied]:
    return [Applied(each.number, each.name, each.checksum) for each in migrations]


def test_shipped_migrations_are_numbered_without_holes() -> None:
    assert [migration.number for migration in shipped()] == list(range(1, len(shipped()) + 1))
    assert str(shipped()[0]) == "0001_history"


def test_empty_database_needs_all() -> None:
    assert pending([FIRST, SECOND], []) == [FIRST, SECOND]


def test_only_what_is_missing_is_applied() -> None:
    assert pending([FIRST, SECOND], applied(FIRST)) == [SECOND]
    assert pending([FIRST, SECOND], applied(FIRST, SECOND)) == []


def test_edited_migration_is_an_error() -> None:
    edited = FIRST._replace(text="CREATE TABLE a (b int);")
    with pytest.raises(MigrationError, match="0001_history was changed after"):
        pending([edited, SECOND], applied(FIRST))


def test_line_ends_do_not_change_a_migration() -> None:
    assert FIRST._replace(text="a\r\nb\r\n").checksum == FIRST._replace(text="a\nb\n").checksum


def test_newer_database_is_an_error() -> None:
    with pytest.raises(MigrationError, match="0002_more, which this program does not know"):
        pending([FIRST], applied(FIRST, SECOND))


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["notes.txt"]])
def test_wrong_names_are_an_error(names: list[str]) -> None:
    with pytest.raises(MigrationError):
        in_order((name, "") for name in names)
