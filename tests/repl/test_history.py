import stat

import pytest

from vmdebug.repl.history import LineHistory, default_file, lines_kept


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "vmdebug" / "history"


def test_lines_are_there_in_the_next_session(path):
    first = LineHistory(path, 10)
    first.append_string("::status")
    first.append_string("cpu0::print struct cpu")

    assert LineHistory(path, 10).get_strings() == ["::status", "cpu0::print struct cpu"]


def test_repetitions_and_empty_lines_are_not_stored(path):
    history = LineHistory(path, 10)

    for line in ("a", "a", "", "  ", "b", "a"):
        history.append_string(line)

    assert history.get_strings() == ["a", "b", "a"]
    assert path.read_text() == "a\nb\na\n"


def test_pasted_lines_are_stored_one_by_one(path):
    history = LineHistory(path, 10)

    history.append_string("::status\n\n::cpuinfo\n")

    assert history.get_strings() == ["::status", "::cpuinfo"]


def test_keeps_the_latest_lines(path):
    history = LineHistory(path, 3)

    for number in range(10):
        history.append_string(f"line {number}")

    assert history.get_strings() == ["line 7", "line 8", "line 9"]
    assert LineHistory(path, 3).get_strings() == ["line 7", "line 8", "line 9"]


def test_a_file_that_has_grown_is_shortened(path):
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"line {number}\n" for number in range(100)))

    LineHistory(path, 3)

    assert path.read_text() == "line 97\nline 98\nline 99\n"
    assert list(path.parent.iterdir()) == [path]


def test_two_sessions_write_to_one_file(path):
    first, second = LineHistory(path, 10), LineHistory(path, 10)

    first.append_string("one")
    second.append_string("two")
    first.append_string("three")

    assert path.read_text() == "one\ntwo\nthree\n"


def test_only_the_user_may_read_it(path):
    LineHistory(path, 10).append_string("secret")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_cannot_be_written_leaves_history_for_the_session(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    history = LineHistory(blocked / "history", 10)

    history.append_string("::status")

    assert history.get_strings() == ["::status"]
    assert blocked.read_text() == "not a folder"


def test_damaged_files_are_read_as_far_as_they_go(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"good\n\xff\xfe bad\nhalf a li")

    assert LineHistory(path, 10).get_strings() == ["good", "\ufffd\ufffd bad"]


@pytest.mark.parametrize(("text", "kept"), [(None, 128), ("7", 7), ("0", 1), ("many", 128), ("-3", 128), ("", 128)])
def test_histsize_says_how_many_lines(monkeypatch, text, kept):
    monkeypatch.delenv("HISTSIZE", raising=False)
    if text is not None:
        monkeypatch.setenv("HISTSIZE", text)

    assert lines_kept() == kept


def test_the_file_lies_in_the_state_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_file() == tmp_path / "vmdebug" / "history"

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_file() == tmp_path / ".local" / "state" / "vmdebug" / "history"
