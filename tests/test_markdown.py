"""Tables in Markdown."""

from vidrestore.markdown import markdown_table, markdown_text


def test_the_first_column_names_the_row_and_the_others_stand_to_the_right() -> None:
    assert markdown_table(("way", "time"), [("first", "1 s"), ["second", "2 s"]]) == (
        "| way | time |\n| :-- | --: |\n| first | 1 s |\n| second | 2 s |"
    )


def test_a_table_may_be_empty() -> None:
    assert markdown_table(["way"], []) == "| way |\n| :-- |"


def test_a_name_is_shown_and_does_nothing_else() -> None:
    assert markdown_text("a_b.mkv") == "a_b.mkv"
    assert markdown_text("[x](y)|<i>*b*_c_`d`\n\x1b&amp;") == (r"\[x\](y)\|\<i\>\*b\*\_c\_\`d\`\\n\\x1b\&amp;")
    assert markdown_table(["film", "value"], [["a|b", "1"]]).endswith(r"| a\|b | 1 |")
