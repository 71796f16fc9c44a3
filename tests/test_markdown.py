"""Tables in Markdown."""

from vidrestore.markdown import markdown_table


def test_the_first_column_names_the_row_and_the_others_stand_to_the_right() -> None:
    assert markdown_table(("way", "time"), [("first", "1 s"), ["second", "2 s"]]) == (
        "| way | time |\n| :-- | --: |\n| first | 1 s |\n| second | 2 s |"
    )


def test_a_table_may_be_empty() -> None:
    assert markdown_table(["way"], []) == "| way |\n| :-- |"
