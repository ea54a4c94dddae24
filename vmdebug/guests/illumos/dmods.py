"""The kernel modules that mdb brings a debugger module for.

mdb loads a debugger module for each load object of the target that has one, in load order, and names them when an
interactive session starts. These are the names that illumos and its ancestors ship for x86: cmd/mdb/common/modules,
intel/modules, i86pc/modules and i86xpv/modules.
"""

COMMON = """
    arp audiosup cpc crypto dtrace emlxs fcip fcp fctl genunix hook idm ii ip ipc ipp klmmod krtld lofs logindmux mac
    md mm mpt mpt_sas mr_sas nca neti nfs nsctl nsmb pmcs ptm qlc random rdc rds s1394 sata scsi_vhci sctp sd sdbc
    smbfs smbsrv sockfs sof specfs sppp srpt ssd stmf stmf_sbd sv tcp udp ufs usba zfs
"""
X86 = "ahci amd_iommu apix ata isp ohci pcplusmp uhci unix uppc vmm xpv xpv_psm xpv_uppc"
KNOWN = frozenset([*COMMON.split(), *X86.split()])


def has_debugger_module(module: str) -> bool:
    """True if mdb brings a debugger module for that kernel module."""
    return module in KNOWN
