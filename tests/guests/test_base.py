"""What a guest need not know."""

import pytest

from vmdebug.guests.base import NoProcesses, with_processes
from vmdebug.guests.unknown import Unknown


def test_a_guest_whose_processes_are_not_known_says_so():
    with pytest.raises(NoProcesses, match="the page tables of processes are not known in a guest of kind unknown"):
        with_processes(Unknown(None, []))
