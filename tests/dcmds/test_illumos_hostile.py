"""What illumos keeps its lists in may hold anything: the dcmds that walk them end in rows or one clear line."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bounded import bounded
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session

SECONDS = 20  # what takes longer hangs
ASKED = (
    "::ps -tlTPzs",
    "::ptree",
    "::pflags",
    "0t403::pid2proc",
    "kas::as2proc",
    "::stacks",
    "::msgbuf -v",
    "::panicinfo",
    "::thread -bdips",
    "cpus::vatopfn | ::report_maps",
    "<cr3%1000::ptable -m",
    "kas::walk seg | ::seg",
    "::mappings",
    "::memseg_list",
    "::memlist -iav",
    "::kmem_cache",
    "::walk kmem_cache | ::walk kmem",
    "::walk kmem_cache | ::walk freemem",
    "::walk kmem_cache | ::walk bufctl",
    "fffffffec8003018::whatis -a",
    "fffffffec13b7ad0::mutex -f",
    "kas::print -a struct as a_lock | ::rwlock",
    "fffffffec33a64d8::turnstile",
    "::wchaninfo -v",
    "fffffffec13b7ad0::sobj2ts",
    "::system",
    "::showrev -v",
    "::class",
    "::zone",
    "::project",
    "fffffffec2012eb0::whereopen",
    "::ptmap",
    "ffffff0001593c80::findstack '<.$c'",
    "::taskq -T",
    "::interrupts -d",
    "::softint",
    "::idt",
    "::prtconf -v",
    "::devnames -v",
    "::devbindings xnf",
    "4::major2name",
    "::walk modctl | ::modctl2devinfo",
    "::walk devinfo | ::minornodes",
    "::walk devinfo | ::walk devi_next",
    "::walk devinfo | ::walk devinfo_siblings",
    "*xdf_ssp::softstate",
    "*xdf_ssp::walk softstate_all",
    "::hotplug",
    "::walk pcie_bus",
    "::modhash -ce",
    "::walk modhash | ::walk modent | ::modent",
    "::time",
    "::walk proc | ::pfiles -f",
    "::walk proc | ::walk port",
    "::walk proc | ::walk allfile",
    "::walk thread | ::walk ctxop",
    "::walk proc | ::print proc_t p_cred | ::cred",
    "::vmem",
    "::fsinfo -v",
    "::dnlc | ::vnode2path -F",
    "::memstat",
    "::page",
    "123::page_num2pp",
    "ffffffffabfee100::walk page",
    "::cycinfo",
    "::domain",
    "::walk vcpu",
    "ffffffffabfde100::cyclic",
    "::task",
    "::walk proc | ::print proc_t p_task | ::walk task",
    "::walk vmem | ::walk vmem_seg | ::vmem_seg -v",
    "::walk vmem | ::walk vmem_alloc | ::vmem_seg -c sched",
    "::walk vmem | ::walk vmem_free",
    "::walk vmem | ::walk vmem_span",
    "::walk vmem_postfix",
    "::walk proc | ::pmap",
    "::walk deathrow | ::thread",
    "::walk linkersets",
    "fffffffec33a64d8::print -a turnstile_t ts_sleepq | ::walk sleepq",
    "::cpupart -v",
    "::lgrp -P",
    "::walk lgrptbl | ::walk lgrp_parents",
    "cp_default::print -a cpupart_t cp_haltset | ::bitset",
    "::walk proc | ::pmap -q",
    "::findleaks -d",
    "::typegraph",
    "fffffffec8005008::whattype -v",
    "fffffffec8001050::istype krwlock_t",
    "fffffffec8001050::notype",
    "ffffff00010bfc80::findlocks",
    "::findfalse -v",
    "::walk leak",
    "::walk leakbuf",
    "fffffffec13b7ad0::whatthread -v",
    "3::whatis -i",
    "fffffffec42d87b0::stream",
    "fffffffec42d87b0::walk readq | ::queue -v",
    "fffffffec42d87b0::walk writeq | ::q2otherq | ::q2stream",
    "fffffffece100000::print queue_t q_first | ::walk b_next | ::mblk -v",
    "fffffffec42cb560::walk qnext",
    "fffffffec42cb560::walk qlink",
    "::kmem_cache -n thread_cache | ::walk bufctl | ::bufctl -vh",
    "fffffffeca000100::walk bufctl_history | ::bufctl -c $[kmem_alloc]",
    "fffffffec8014008::whatis",
    "::cycinfo -V",
    "::cyctrace",
    "::xcall",
    "::ttrace",
    "::callout -v",
    "::callout -V -E",
    "::callout -i",
    "::callout -F",
    "::callout -L -F",
    "::callouttable",
    "40000006::calloutid",
    "::walk callouts_byid",
    "::walk callout_list",
    "::kmastat -k",
    "::walk thread_cache",
    "::kmem_log",
    "fffffffec8014008::kmem_log",
    "::kmausers -ef",
    "::kmem_cache -n thread_cache | ::walk freectl",
    "::kmem_cache -n thread_cache | ::walk kmem_cpu_cache",
    "::kmem_verify",
    "::kmem_cache -n thread_cache | ::kmem_verify",
    "ffffff00010fbc80::allocdby",
    "ffffff00010fbc80::freedby",
)
# Types whose values the dcmds read, and where the demo has some of them; every word of them is changed.
PLACES = (
    ("proc_t", "::walk proc"),
    ("kthread_t", "::walk thread"),
    ("struct seg", "kas::walk seg"),
    ("struct memseg", "::walk memseg"),
    ("kmem_cache_t", "::walk kmem_cache"),
    ("kmem_slab_t", "::walk kmem_cache | ::walk kmem_slab"),
    ("kmem_bufctl_t", "::walk kmem_cache | ::walk bufctl"),
    ("taskq_t", "::taskq"),
    ("struct dev_info", "::walk devinfo"),
    ("ddi_prop_t", "*top_devinfo::print struct dev_info devi_sys_prop_ptr"),
    ("struct ddi_minor_data", "::walk devinfo | ::walk minornode"),
    ("struct i_ddi_soft_state", "*xdf_ssp::map ."),
    ("ddi_hp_cn_handle_t", "::walk hotplug"),
    ("mod_hash_t", "::walk modhash"),
    ("struct mod_hash_entry", "::walk modhash | ::walk modent"),
    ("zone_t", "::walk zone"),
    ("vmem_t", "::walk vmem"),
    ("vfs_t", "::walk vfs"),
    ("file_t", "0t403::pid2proc | ::walk file"),
    ("vnode_t", "::dnlc"),
    ("vnode_t", "0t231::pid2proc | ::pfiles"),
    ("struct sonode", "0t401::pid2proc | ::fd 5 | ::print file_t f_vnode->v_data"),
    ("struct ctxop", "0t620::pid2proc | ::walk thread | ::walk ctxop"),
    ("mntopt_t", "*rootvfs::print vfs_t vfs_mntopts.mo_list"),
    ("ncache_t", "*nc_hash::array nc_hash_t 8 | ::print nc_hash_t hash_next"),
    ("sclass_t", "::class"),
    ("struct sysparam", "::system"),
    ("struct autovec", "::softint"),
    ("htable_t", "kas::print struct as a_hat | ::htables"),
    ("hat_t", "kas::print struct as a_hat"),
    ("struct as", "kas::map ."),
    ("turnstile_t", "fffffffec33a64d8::map ."),
    ("page_t", "ffffffffabfee100::walk page"),
    ("cyc_cpu_t", "::walk cyccpu"),
    ("task_t", "::task"),
    ("struct segvn_data", "0t620::pid2proc | ::print proc_t p_as | ::walk seg | ::print struct seg s_data"),
    ("struct anon_map", "0t620::pid2proc | ::pmap | ::print struct seg s_data | ::print struct segvn_data amp"),
    ("cpupart_t", "::walk cpupart_walk"),
    ("lgrp_t", "::walk lgrptbl"),
    ("stdata_t", "fffffffec42d87b0::map ."),
    ("queue_t", "fffffffec42d87b0::walk readq"),
    ("mblk_t", "fffffffece100000::print queue_t q_first | ::walk b_next"),
    ("cont_process_t", "::pgrep ^cron | ::print proc_t p_ct_process"),
    ("vmem_seg_t", "::walk vmem | ::walk vmem_seg"),
    ("kmem_bufctl_audit_t", "::kmem_cache -n thread_cache | ::walk bufctl"),
    ("kmem_bufctl_audit_t", "fffffffeca000100::walk bufctl_history"),
    ("callout_table_t", "::walk callout_table"),
    ("callout_list_t", "::walk callout_list"),
    ("callout_t", "::walk callouts_bytime"),
    ("kmem_log_header_t", "*kmem_transaction_log::map ."),
    ("kmem_cpu_cache_t", "::walk kmem_cache | ::walk kmem_cpu_cache"),
    ("kmem_buftag_t", "fffffffec8014300::map ."),
)
VARIABLES = (
    *("memsegs", "phys_install", "log_recentq", "sysparam_hd", "top_devinfo", "devnamesp", "pidhash", "pid_hashsz"),
    *("procdir", "allthreads", "panicbuf", "panic_thread", "mmu", "mfn_list", "mfn_count", "zone_active", "hrestime"),
    *("evtchn_to_irq", "irq_info", "softvect", "kmem_null_cache", "sclass", "lbolt", "vmem_list", "rootvfs"),
    *("page_hash", "page_hashsz", "physmem", "task_hash", "thread_deathrow"),
    *("callout_table", "callout_table_bits", "max_ncpus"),
    *("nc_hash", "nc_hashsz", "rootdir", "devcnt", "xdf_ssp", "mh_head"),
    *("page_hash", "page_hashsz", "physmem", "task_hash", "kmem_transaction_log"),
)
VALUES = (0, 1, 2, 8, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, 1 << 63, (1 << 64) - 1, 0xFFFF_FFFE_C200_0000)


@pytest.fixture(scope="module")
def words(demos):
    """The addresses of the words that may be changed."""
    demo = demos("demo")
    debug = Debugger(demo.target())
    objects, found = debug.session.guest.objects, []
    for kind, walk in PLACES:
        rows = debug.session.rows(walk)
        starts = [next(iter(debug.session.addresses_in([row]))) for row in rows]
        assert starts, walk
        found += [(kind, start, objects.sizeof(kind)) for start in starts]
    places = [start + at for kind, start, size in found for at in range(0, size - 7, 8)]
    return places, [demo.truth.address(name) for name in VARIABLES]


class Debugger:
    def __init__(self, target):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = Session(target, find_guest(target), out=self.out, err=self.err)
        load_dcmds(warn=self.session.warn)


edits = st.lists(
    st.tuples(st.booleans(), st.integers(0, 1 << 30), st.sampled_from(VALUES) | st.integers(0, (1 << 64) - 1)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=edits, pointed=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 1 << 30)), max_size=6))
def test_ends_in_rows_or_a_clear_line(demos, words, edits, pointed):
    places, variables = words
    changes = {}
    for named, place, value in edits:
        where = variables if named else places
        changes[where[place % len(where)]] = value.to_bytes(8, "little")
    for place, other in pointed:  # pointers to other structures, which make loops
        changes[places[place % len(places)]] = (places[other % len(places)] & ~7).to_bytes(8, "little")
    debug = Debugger(demos("demo").target(changes))

    with bounded(SECONDS):
        for command in ASKED:
            debug.session.run(command)

    assert "\x1b" not in debug.out.getvalue() + debug.err.getvalue()
