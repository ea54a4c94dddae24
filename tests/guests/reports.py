"""What the guests of the real images reported of themselves before they were dumped."""

import re

REPORTS = {  # image: the folder of its truth, and the guest's report in it
    "linux-mini.elf.core": ("linux-mini", "truth.txt"),
    "linux-72.elf.core": ("linux-72", "truth.txt"),
    "xen-pv.core": ("xen-pv", "pv.truth.txt"),
    "xen-pvh.core": ("xen-pvh", "pvh.truth.txt"),
}


def report(truth, image):
    """The whole report of the guest in this image; `truth` is the fixture."""
    folder, name = REPORTS[image]
    return (truth(folder) / name).read_text()


def section(text, name):
    """The lines of one section of a report."""
    return re.search(rf"^=====TRUTH-SECTION {name}\n(.*?)(?=^=====TRUTH-SECTION |\Z)", text, re.M | re.S)[1]
