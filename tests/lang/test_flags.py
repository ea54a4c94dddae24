"""Section 9: options inside the words of a dcmd."""

import pytest

from vmdebug.dcmd import Flag
from vmdebug.errors import LanguageError, UsageError
from vmdebug.lang.flags import split_flags

FLAGS = (Flag("a", "all"), Flag("v", "more"), Flag("c", "count", "number"), Flag("f", "name", "text"))


def number(text):
    try:
        return int(text, 16)
    except ValueError as err:
        raise LanguageError("no number") from err


def split(*words):
    return split_flags(FLAGS, words, number)


@pytest.mark.parametrize(
    ("words", "flags", "rest"),
    [
        ([], {}, []),
        (["-a", "x"], {"a": True}, ["x"]),
        (["-av", "x"], {"a": True, "v": True}, ["x"]),
        (["-c100"], {"c": 0x100}, []),
        (["-c", "100"], {"c": 0x100}, []),
        (["-c", 100, 5], {"c": 100}, [5]),
        (["-ac10", "-v"], {"a": True, "c": 0x10, "v": True}, []),
        (["-fname"], {"f": "name"}, []),
        (["-f", "-a"], {"f": "-a"}, []),
        (["--", "-a"], {}, ["-a"]),
        (["x", "-a"], {}, ["x", "-a"]),
        (["-a", 5, "-v"], {"a": True}, [5, "-v"]),
        (["-"], {}, ["-"]),
    ],
)
def test_splits(words, flags, rest):
    assert split(*words) == (flags, rest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "illegal option -- x"),
        (["-ax"], "illegal option -- x"),
        (["-c"], "option requires an argument -- c"),
        (["-f", 5], "string argument required for -f"),
        (["-c", "zz"], 'invalid option for -c: "zz"'),
    ],
)
def test_refuses(words, message):
    with pytest.raises(UsageError) as caught:
        split(*words)
    assert str(caught.value) == message
