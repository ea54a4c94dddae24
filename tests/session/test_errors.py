"""Section 14 and the exit statuses of section 1."""

import io

import pytest

READ_ONLY = "target is not open for writing"
ERRORS = [
    ("::foo", "invalid command '::foo': unknown dcmd name"),
    ("$y", "command is not supported by current target"),
    ("$h", "invalid command '$h': unknown dcmd name"),
    ("::nosuch`foo", "invalid command '::nosuch`foo': specified module is not loaded"),
    ("nosuch=K", "failed to dereference symbol: unknown symbol name"),
    ("nosuch`base=K", "failed to dereference symbol: unknown object file name"),
    ("1+", r'syntax error on line 1 of (string) near "\n"'),
    ("1 2", 'syntax error on line 1 of (string) near "2"'),
    ("::echo 'a", "syntax error: ' unmatched on line 1 of (string) near \"'a\""),
    ('::echo "a', 'syntax error: " unmatched on line 1 of (string) near "\\"a"'),
    ("::echo $[1;", 'syntax error: $[ unmatched on line 1 of (string) near ";"'),
    ("*/q/1000=K", "invalid cast -- */q/"),
    ("<x=K", "variable 'x' is not defined on line 1 of (string) near \"<x\""),
    ("*9000=K", "failed to read from address 9000: no mapping for address"),
    ("%/i/9000=K", "failed to read from address 9000: no mapping for address"),
    ("9000/X", "failed to read data from target: no mapping for address"),
    ("9000\\X", "failed to read data from target: no mapping for address"),
    ("$<nosuch", "failed to open nosuch (see ::help '$<')"),
    ("$<", "input stack is empty"),
    ("1%0=K", "attempted to divide by zero"),
    ("8000000000000000%-1=K", "divide overflow"),
    ("1=k", "invalid format character -- 'k'"),
    ("1=", "expected one or more format characters following '='"),
    (":c", "command is not supported by current target"),
    ("1>a b", "expected single variable name following '>'"),
    ("1>", "expected single variable name following '>'"),
    ("1>a(", "'(' may not be used in a variable name"),
    ("1>rip", "cannot modify read-only variable 'rip'"),
    ("1>/q/a", "q is not a valid // modifier"),
    ("::unset hits", "cannot remove persistent variable 'hits'"),
    ("$W", "failed to re-open target for writing"),
    ("11$d", "expected radix from 2 to 16"),
    ("1$d", "expected radix from 2 to 16"),
    ("$V nosuch", "failed to set disassembly mode: unknown disassembler name"),
    ("$P 123456789012345678901234567890123456", "prompt may not exceed 35 characters"),
    ("::help nosuch", "unknown command: nosuch"),
    ("::dmods nosuch", "nosuch module not loaded"),
    ("::unload nosuch", "nosuch module not loaded"),
    ("::nm nosuch", "failed to dereference symbol: unknown object file name"),
    ("9000::nm", "no symbol corresponds to address"),
    ("::nmdel nosuch", "symbol 'nosuch' not found in private symbol table"),
    ("::dis nosuch", "symbol 'nosuch' not found"),
    ("9000::dis", "failed to read instruction at 0x9000: no mapping for address"),
    ("::set -o nosuch", "invalid debugger option -- nosuch"),
    ("::set -o term", "option requires an argument -- term"),
    ("::set -o pager=1", "option does not accept an argument -- pager"),
    ("::set -o array_mem_limit=x", "invalid argument for option array_mem_limit -- x"),
    ("::set -s x", "expected integer following -s"),
    ("::dcmds (", "failed to compile pattern (: missing ), unterminated subpattern at position 0"),
    # 10.3 and 10.4
    ("1000/W", "expected value to write following W"),
    ("1000/W )", "expected immediate value instead of ')'"),
    *(
        (f"1000/{letter} 'base+1'", f"failed to write 0x{0x1001 & mask:x} at address 0x1000: {READ_ONLY}")
        for letter, mask in (("v", 0xFF), ("w", 0xFFFF), ("W", 0xFFFFFFFF), ("Z", ~0), ("z", ~0))
    ),
    ("1000?W $[5]", "failed to write 0x5 at address 0x1000: target is not open for writing"),
    ("1000::write -l 4 'base+1'", f"failed to write 0x1001 at address 0x1000: {READ_ONLY}"),
    ("1000::write -p $[5]", f"failed to write 0x5 at address 0x1000: {READ_ONLY}"),
    ("5::context", "the page tables of processes are not known in a guest of kind fake"),
    ("1000/L", "expected value following L"),
    ("1000/L 1 2 3", "only value and mask may follow L"),
    ("1000/l ffff", "failed to read data from target: no mapping for address"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), ERRORS, ids=[text for text, _ in ERRORS])
def test_tells_errors(debug, text, told):
    assert debug().refused(text).splitlines()[-1] == f"vmdebug: {told}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1000/l 302", 0x1002),
        ("1000/L 7060504", 0x1004),
        ("1000/M f0e0d0c0b0a0908", 0x1008),
        ("1000?L 1b1a1918", 0x1018),
        ("1000/L 500 ff00", 0x1004),
        ("1000,5/L 500 ff00", 0x1004),
    ],
)
def test_finds_words(debug, text, address):
    sitting = debug()

    out = sitting.printed(text)

    assert sitting.session.dot == address
    assert out == f"{sitting.session.show.symbol(address)}\n"


def test_searches_physical_memory(debug):
    sitting = debug()

    sitting.printed("100\\L 6c616369")

    assert sitting.session.dot == 0x104


def test_without_an_image_the_language_works(debug):
    sitting = debug(target=None, guest=None)

    assert sitting.printed("1+2=K").strip() == "3"
    assert "no image is open" in sitting.refused("*0=K")
    assert "command is not supported by current target" in sitting.refused("0/X")
    assert "unknown symbol name" in sitting.refused("nosuch=K")
    assert sitting.printed("10::nmadd -s 8 mine; mine+4=p").splitlines()[-1].strip() == "mine+4"


# where an error stands, and what of the input it costs


def test_names_the_line_and_the_source(debug):
    sitting = debug()

    status = sitting.session.run_file(io.StringIO("::echo 1\n\n1 2; ::echo 2\n<x=K\n::echo 3\n"), "(stdin)")

    assert sitting.complaints() == (
        'vmdebug: syntax error on line 3 of (stdin) near "2"\n'
        "vmdebug: variable 'x' is not defined on line 4 of (stdin) near \"<x\"\n"
    )
    assert sitting.taken() == "1 \n2 \n3 \n"
    assert status == 1


def test_on_a_terminal_names_only_the_token_and_drops_the_line(debug):
    sitting = debug(terminal=True)

    out, err, _ = sitting("1 2; ::echo 2", "(stdin)")

    assert (out, err) == ("", 'vmdebug: syntax error near "2"\n')


def test_a_string_ends_at_its_first_wrong_statement(debug):
    assert debug()("::echo 1; 1 2; ::echo 3")[::2] == ("1 \n", 1)
    assert debug()("::echo 1; nosuch=K; ::echo 3")[::2] == ("1 \n", 1)
    assert debug()("::echo 1; ::foo; ::echo 3")[::2] == ("1 \n", 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("::echo", 0),
        ("", 0),
        ("3::fails", 1),
        ("3::fails; ::echo", 0),  # the last dcmd counts
        ("::echo; 3::fails", 1),
        ("3::aborts; ::echo", 0),
        ("3::bare; ::echo", 0),
        ("3::bare", 1),
        ("::echo; 1 2", 1),
        ("1+2", 0),
        ("nosuch", 1),
        ("::quit; 3::fails", 0),
        ("3::fails; ::quit", 0),
        ("9000/X", 1),
        ("9000/X; 1=K", 0),
    ],
)
def test_status(debug, text, status):
    assert debug()(text)[2] == status


def test_nothing_runs_after_quit(debug):
    for word in ("::quit", "$q", "$Q", "$%"):
        sitting = debug()
        assert sitting(f"{word}; ::echo 1") == ("", "", 0)
        assert sitting.session.finished


def test_an_interrupt_stops_the_command_and_keeps_the_session(debug):
    sitting = debug()

    assert sitting("::interrupted; ::echo x") == ("1\n\n", "", 1)
    assert sitting.printed("::echo x") == "x \n"


def test_nesting_is_bounded(debug, tmp_path):
    macro = tmp_path / "again"
    macro.write_text(f"$<<{macro}\n")

    assert "nested more than" in debug()(f"$<<{macro}")[1]
    assert "nested too deeply" in debug().refused("(" * 1000)


def test_rows_raises(debug):
    sitting = debug()

    assert [row.value for row in sitting.session.rows("1::map .+1 ; 5::map .+2")] == [7]
    for text, message in [
        ("9000/X", "failed to read data"),
        ("::foo", "unknown dcmd"),
        ("1 2", "syntax error"),
        ("::needs", "Usage: address::needs"),
        ("::walk numbers | ::fails", "11 is odd"),
        ("::eval '9000/X'", "failed to read data"),
    ]:
        with pytest.raises(Exception, match=message):
            sitting.session.rows(text)
    assert sitting.complaints() == ""
    assert sitting.printed("::echo still") == "still \n"
