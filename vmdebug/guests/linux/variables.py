"""The types of kernel variables that BTF does not describe: it holds per-CPU variables at most, and those only in some
kernels. Each is looked up by name when a symbol's type is asked for; a name that the kernel lacks costs nothing.
"""

from collections.abc import Mapping

VARIABLES: Mapping[str, str] = {
    "init_task": "struct task_struct",
    "init_mm": "struct mm_struct",
    "init_uts_ns": "struct uts_namespace",
    "init_pid_ns": "struct pid_namespace",
    "init_net": "struct net",
    "init_struct_pid": "struct pid",
    **dict.fromkeys(
        (
            *("modules", "slab_caches", "btf_modules", "vmap_area_list", "net_namespace_list", "xen_irq_list_head"),
            *("bpf_kallsyms", "super_blocks", "workqueues", "xenconsoles"),
        ),
        "struct list_head",
    ),
    **dict.fromkeys(
        ("__cpu_possible_mask", "__cpu_online_mask", "__cpu_present_mask", "__cpu_active_mask"), "struct cpumask"
    ),
    **dict.fromkeys(
        (
            *("page_offset_base", "vmalloc_base", "vmemmap_base", "phys_base", "jiffies", "loops_per_jiffy"),
            *("tainted_mask", "_totalram_pages", "totalram_pages"),
        ),
        "unsigned long",
    ),
    **dict.fromkeys(("nr_cpu_ids", "nr_irqs", "total_nr_irqs", "nr_vmap_nodes", "event_array_pages"), "unsigned int"),
    **dict.fromkeys(("crashing_cpu", "panic_on_oops", "oops_in_progress"), "int"),
    **dict.fromkeys(("saved_command_line", "log_buf"), "char *"),
    "jiffies_64": "u64",
    "panic_cpu": "atomic_t",
    "log_buf_len": "u32",
    "log_first_idx": "u32",
    "log_next_idx": "u32",
    "prb": "struct printk_ringbuffer *",
    "printk_rb_static": "struct printk_ringbuffer",
    "irq_desc_tree": "struct xarray",
    "sparse_irqs": "struct maple_tree",
    "vmap_nodes": "struct vmap_node *",
    "worker_pool_idr": "struct idr",
    "blockdev_superblock": "struct super_block *",
    "virtio_bus": "struct bus_type",
    "block_class": "struct class",
    "bus_kset": "struct kset *",
    "class_kset": "struct kset *",
    "HYPERVISOR_shared_info": "struct shared_info *",
    "xen_start_info": "struct start_info *",
    "xen_store_interface": "struct xenstore_domain_interface *",
    "xenbus_frontend": "struct xen_bus_type",
    "xenbus_backend": "struct xen_bus_type",
    "btf_vmlinux": "struct btf *",
    # Per-CPU variables, for kernels whose BTF was made without them.
    "current_task": "struct task_struct *",
    "runqueues": "struct rq",
    "cpu_tss_rw": "struct tss_struct",
    "hardirq_stack_ptr": "void *",
    "irq_count": "int",
    "__preempt_count": "int",
    "cpu_number": "int",
    "this_cpu_off": "unsigned long",
    "cpu_info": "struct cpuinfo_x86",
    "cpu_tlbstate": "struct tlb_state",
    "kernel_cpustat": "struct kernel_cpustat",
    "kstat": "struct kernel_stat",
    "softnet_data": "struct softnet_data",
    "vm_event_states": "struct vm_event_state",
    "ksoftirqd": "struct task_struct *",
    "xen_vcpu": "struct vcpu_info *",
    "xen_vcpu_info": "struct vcpu_info",
    "xen_vcpu_id": "u32",
}
