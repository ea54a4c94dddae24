"""Names that `$<` knows without a macro file, and what they stand for."""

from collections.abc import Mapping

ALIASES: Mapping[str, str] = {
    "bufctl": "::print kmem_bufctl_t",
    "bufctl_audit": "::bufctl -v",
    "cpu": "::cpuinfo -v",
    "cpun": "::cpuinfo -v",
    "cpus": "::walk cpu |::cpuinfo -v",
    "devinfo": "::print struct dev_info",
    "devinfo.brief": "::devinfo -q",
    "devinfo.parents": "::walk devinfo_parents |::devinfo -q",
    "devinfo.children": "::walk devinfo_children |::devinfo -q",
    "mblk": "::print mblk_t",
    "modules": "::modinfo",
    "mount": "::fsinfo",
    "msgbuf": "::msgbuf",
    "mutex": "::mutex",
    "panicbuf": "::panicinfo",
    "pid2proc": "::pid2proc |::print proc_t",
    "proc2u": "::print proc_t p_user",
    "procargs": "::print proc_t p_user.u_psargs",
    "queue": "::print queue_t",
    "sema": "::print sema_impl_t",
    "stackregs": "::stackregs",
    "stacktrace": "::stackregs",
    "thread": "::print kthread_t",
    "threadlist": "::threadlist -v",
    "u": "::print user_t",
    "utsname": "utsname::print",
}
TYPES = ("struct {}", "union {}", "{}_t", "struct {}s", "{}s_t")  # what `$<name` tries with ::print, in this order
