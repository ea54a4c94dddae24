"""What the tests of ::print look at: a process in C, where it and its neighbours lie, the lines that show it."""

from tests.typed_memory import BASE

C = """
typedef unsigned int uint_t;
typedef unsigned char uchar_t;
typedef long time_t;
typedef uint_t ipaddr_t;
typedef char *caddr_t;
struct vnode { int v_flag; void *v_data; };
typedef struct kmutex { void *_opaque[1]; } kmutex_t;
enum state { ST_IDLE, ST_RUN, ST_STOP = 12, ST_LOST = -1 };
typedef enum state state_t;
enum flags { FL_NONE = 0, FL_READ = 1, FL_WRITE = 2, FL_EXEC = 4 };
struct exdata { struct vnode *vp; long size; };
typedef struct user { struct exdata u_exdata; char u_comm[17]; } user_t;
struct unknown;
typedef struct proc {
    struct vnode *p_exec;
    kmutex_t p_lock;
    state_t p_state;
    enum flags p_flags;
    user_t p_user;
    struct proc *p_next;
    char p_kind;
    uchar_t p_small;
    short p_nice;
    uint_t p_a:3, p_b:5;
    int p_signed:4;
    int p_ids[6];
    struct vnode p_nodes[2];
    struct unknown *p_unknown;
    union { int p_int; long p_long; };
    time_t p_start;
    ipaddr_t p_addr;
    char *p_args;
    caddr_t p_caddr;
    double p_load;
    int p_grid[2][3];
    char p_names[2][4];
} proc_t;
struct gaps { char a; int b; char c; long d; char e; };
struct inner { int x; };
"""

EXEC, NEXT, ARGS = BASE + 0x1000, BASE + 0x2000, BASE + 0x3000


def shown(debug, words, address=f"{BASE:x}"):
    """The lines that ::print says of the process, or of what lies at another address."""
    return debug.printed(f"{address}::print {words}").splitlines()
