"""What several formats share about x86 registers: names of MSRs, and one form for segment attributes.

A Vcpu names segment state `cs`, `cs_base`, `cs_limit`, `cs_flags` and so on for ds, es, fs, gs, ss, ldt and tr, the
tables `gdt_base`, `gdt_limit`, `idt_base`, `idt_limit`. Flags stand where a descriptor's second word has them (bits
8 to 23, as QEMU saves them), whatever the format packs them into.
Specified in: Intel SDM vol. 3, 3.4.5, and vol. 4, chapter 2.
"""

LONG_SEGMENT = 1 << 21
EFER_LMA = 1 << 10

MSRS = {
    0x10: "tsc",
    0x3B: "tsc_adjust",
    0x174: "sysenter_cs",
    0x175: "sysenter_esp",
    0x176: "sysenter_eip",
    0x277: "pat",
    0xC000_0080: "efer",
    0xC000_0081: "star",
    0xC000_0082: "lstar",
    0xC000_0083: "cstar",
    0xC000_0084: "sfmask",
    0xC000_0100: "fs_base",
    0xC000_0101: "gs_base",
    0xC000_0102: "kernel_gs_base",
    0xC000_0103: "tsc_aux",
}


def msr_name(index: int) -> str:
    """The register name of an MSR; `msr_c0011027` for one without a name of its own."""
    return MSRS.get(index, f"msr_{index:x}")


def unpack_flags(packed: int) -> int:
    """Segment attributes in the twelve bits of a VMCB, in descriptor position."""
    return (packed & 0xFF) << 8 | (packed & 0xF00) << 12


def pack_flags(flags: int) -> int:
    """The reverse."""
    return flags >> 8 & 0xFF | flags >> 12 & 0xF00
