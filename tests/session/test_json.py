"""JSON: one object a line for each dcmd that ran, by the rows' own types."""

import json


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def test_each_dcmd_at_the_end_of_a_pipeline_gives_one_object_a_line(debug):
    out = debug(json=True).printed("::walk numbers | ::head -2 | ::seen; ::echo a; 1>x")

    assert objects(out) == [
        {
            "dcmd": "seen",
            "rows": [{"address": "0x10", "count": 0, "note": ""}, {"address": "0x11", "count": 0, "note": ""}],
            "errors": [],
        },
        {"dcmd": "echo", "rows": [{"text": "a "}], "errors": []},
        {"dcmd": ">", "rows": [], "errors": []},
    ]


def test_values_go_by_their_types(debug):
    (found,) = objects(debug(json=True).printed("::many"))

    assert found["rows"] == [
        {
            "address": "0x1000",
            "number": 16,
            "mask": "0x10",
            "nothing": None,
            "name": "n\x1b",
            "listed": ["0x1"],
            "inner": {"address": None, "count": 3, "note": "x"},
            "flag": True,
        }
    ]


def test_errors_are_in_the_object_and_on_the_other_stream(debug):
    out, err, status = debug(json=True)("::walk numbers | ::fails")

    (found,) = objects(out)
    assert [row["address"] for row in found["rows"]] == ["0x10", "0x12"]
    assert found["errors"] == ["11 is odd", "13 is odd"]
    assert err == "vmdebug: 11 is odd\nvmdebug: 13 is odd\n"
    assert status == 1


def test_format_commands_give_values(debug):
    (found,) = objects(debug(json=True).printed('1000/Xn"text"B'))

    assert found == {
        "dcmd": "/",
        "rows": [
            {"value": "0x3020100", "address": "0x1000", "letter": "X", "text": "3020100"},
            {"value": "0x4", "address": "0x1004", "letter": "B", "text": "4"},
        ],
        "errors": [],
    }


def test_nested_commands_give_their_own_objects(debug):
    found = objects(debug(json=True).printed("1::eval '.=K'"))

    assert [each["dcmd"] for each in found] == ["=", "eval"]


def test_the_shell_gets_the_json(debug):
    out = debug(json=True).printed("::echo a ! cat")

    assert objects(out) == [{"dcmd": "echo", "rows": [{"text": "a "}], "errors": []}]


def test_an_interrupted_command_leaves_whole_lines(debug):
    out, _, status = debug(json=True)("::interrupted")

    assert status == 1
    assert objects(out) == [
        {"dcmd": "interrupted", "rows": [{"address": None, "count": 1, "note": ""}], "errors": ["interrupted"]}
    ]


def test_a_failed_expression_is_no_dcmd(debug):
    assert debug(json=True)("nosuch=K")[0] == ""
