"""What QEMU's monitor said of a guest, read from its own words."""

import json
import re

import pytest


@pytest.fixture
def monitor_registers(truth):
    """`monitor_registers(name)`: per cpu, what `info registers -a` printed, under canonical names (efer apart)."""

    def read(name):
        return each_cpu((truth(name) / "registers.txt").read_text())

    return read


@pytest.fixture
def parse_monitor():
    """`parse_monitor(text)`: the same of the words themselves."""
    return each_cpu


@pytest.fixture
def physical_words(truth):
    """`physical_words(name)`: (paddr, the 8-byte words there) of each address in RAM that QEMU translated and read."""

    def read(name):
        said = json.loads((truth(name) / "truth.json").read_text())
        read = [one for address in said["addresses"] for one in address["cpus"].values() if one["gva2gpa"]]
        found = [(int(one["gva2gpa"], 16), [int(word, 16) for word in one["xp"]]) for one in read]
        return [(paddr, words) for paddr, words in found if paddr < said["mem"]]

    return read


def each_cpu(text):
    text = text.replace("\r", "").replace("RFL=", "RFLAGS=").replace("EFL=", "RFLAGS=")
    return [registers_in(block) for block in re.split(r"^CPU#\d+\s*$", text, flags=re.M)[1:]]


def registers_in(block):
    plain = r"\b(R[A-Z0-9]{1,2} ?|RFLAGS|CR[0234])=([0-9a-f]{8,16})\b"
    found = {name.strip().lower(): int(value, 16) for name, value in re.findall(plain, block)}
    found |= {f"r{name.lower()}": int(value, 16) for name, value in re.findall(r"\bE([A-Z]{2})=([0-9a-f]{8})\b", block)}
    segment = r"^(ES|CS|SS|DS|FS|GS|LDT|TR) ?=([0-9a-f]{4}) ([0-9a-f]{8,16}) ([0-9a-f]{8}) ([0-9a-f]{8})"
    for name, *fields in re.findall(segment, block, flags=re.M):
        selector, base, limit, flags = (int(field, 16) for field in fields)
        name = name.lower()
        found |= {name: selector, f"{name}_base": base, f"{name}_limit": limit, f"{name}_flags": flags}
    for name, base, limit in re.findall(r"^([GI]DT)= +([0-9a-f]{8,16}) ([0-9a-f]{8})", block, flags=re.M):
        found |= {f"{name.lower()}_base": int(base, 16), f"{name.lower()}_limit": int(limit, 16)}
    return found
