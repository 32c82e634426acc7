"""Texts that try to be more than text, wherever they are shown or written."""

from hypothesis import strategies as st

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "</style><script>alert(1)</script>",
    "]]><svg onload=alert(1)>",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "con\u202egnp.exe",
    "'; DROP TABLE victims; --",
    '"; DROP TABLE victims; --',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "| touch pwned",
    "${item.seed}",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "!!python/object/apply:os.system ['touch pwned']",
    "a: b\n- c",
    "---",
    "# heading",
    "[click](javascript:alert(1))",
    "![x](http://tracker.example/x.png)",
    "a|b|c",
    "```",
    "=HYPERLINK(1)",
    "--upload-pack=touch pwned",
    "%s%n%(x)s",
    "{0.__class__}",
    "\\",
    "null",
    "yes",
    "0x1f",
    " ",
]
"""One for each door that is known: HTML, paths, SQL, shells, templates, YAML, Markdown, formulas."""

texts = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(
        st.sampled_from([*"<>\"'&|`$;\\{}[]()#:-=!%*_~\n\t \0", "a", "..", "/"]), max_size=20
    ).map("".join),
)
"""Attacks, any Unicode, and mixtures of what has a meaning somewhere."""

no_nuls = texts.map(lambda text: text.replace("\0", ""))
"""For what cannot hold NUL anywhere: PostgreSQL, paths."""
