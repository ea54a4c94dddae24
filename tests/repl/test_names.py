from vmdebug.repl.names import Names


def test_gives_the_names_with_a_prefix_in_order_and_once():
    names = Names(["cpu_list", "cpu0", "main", "cpu_list", "cpus"])

    assert names.starting("cpu") == ["cpu0", "cpu_list", "cpus"]
    assert names.starting("x") == []
    assert names.starting("") == ["cpu0", "cpu_list", "cpus", "main"]


def test_a_cut_list_has_nothing_in_common_that_a_name_left_out_lacks():
    names = Names([f"common_a{n:04}" for n in range(1000)] + ["common_z"])

    found = names.starting("com", limit=50)

    assert len(found) == 50
    assert found[0] == "common_a0000"
    assert found[-1] == "common_z"
    assert names.count("com") == 1001


def test_names_beyond_ascii_are_found():
    names = Names(["aé", "a\U0010fffe", "b"])

    assert names.starting("a") == ["aé", "a\U0010fffe"]
