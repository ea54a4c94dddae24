"""Random statements end in output or complaints, never in a crash."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COMMANDS = [
    *("::echo", "::eval", "::map", "::grep", "::head", "::walk", "::vars", "::nm", "::dis", "::formats", "::help"),
    *("::which", "::typeset", "::unset", "::set", "::dcmds", "::walkers", "::nmadd", "::nmdel", "::seen"),
    *("::step", "::whole", "::fails", "::aborts", "::needs", "::many", "::disasms", "::nosuch", "::u`v"),
    *("$v", "$d", "$s", "$w", "$P", "$V", "$W", "$M", "$a", "$e", "$f", ":k", "$", "$y"),
]
PIECES = [
    *("1", "3", "0t9", "1000", "base", "nosuch", "<v", "<rip", "'ab'", ".", "+", "-", "*", "%", "%%", "~", "#", "&"),
    *("^", "|", "(", ")", ",2 ", ",0", "==", "<<", ">>", "*/i/", ">", ">/s/", "/", "\\", "?", "=", "@"),
    *("X", "K", "s", "i"),
    *(
        "j",
        "C",
        "a",
        "n",
        "W",
        "L",
        "4",
        '"t\\n"',
        "'b c'",
        "'1 2'",
        "$[",
        "]",
        ";",
        "\n",
        "// c",
        "-n",
        "-v",
        "numbers",
    ),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.sampled_from(COMMANDS), st.sampled_from(PIECES)), max_size=10), st.sampled_from(["", " "]))
def test_never_crashes(debug, pieces, gap):
    text = gap.join(pieces)
    for source in ("(string)", "(stdin)"):
        for json in (False, True):
            out, err, status = debug(json=json, terminal=True)(text, source)

            assert status in (0, 1)
            assert out.isprintable() or all(char.isprintable() or char in "\n\r\x1b" for char in out)
            assert all(line.startswith(("vmdebug: ", "Usage: ")) for line in err.splitlines())
