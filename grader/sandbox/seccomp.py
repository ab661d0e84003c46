"""The system calls that a grading container may make: an explicit list, everything else answers EPERM.

It admits what a process without capabilities needs for ordinary work, and the few calls that build the jail.
Docker's own default list would refuse those few: it ties them to CAP_SYS_ADMIN of the host, which nobody has here.
"""

from __future__ import annotations

import json
from typing import Any

# Each line: what for, and the calls.
ORDINARY: dict[str, str] = {
    "open, read and write files": (
        "open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv pwritev preadv2 "
        "pwritev2 lseek _llseek sendfile sendfile64 copy_file_range splice tee vmsplice readahead fadvise64 "
        "fadvise64_64 fallocate truncate truncate64 ftruncate ftruncate64 sync syncfs fsync fdatasync sync_file_range"
    ),
    "look at files and folders": (
        "stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx access faccessat faccessat2 readlink "
        "readlinkat getdents getdents64 getcwd chdir fchdir statfs statfs64 fstatfs fstatfs64 inotify_init "
        "inotify_init1 inotify_add_watch inotify_rm_watch"
    ),
    "change files and folders; labs on permissions do nothing else": (
        "rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir mknod mknodat "
        "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat umask utime utimes "
        "utimensat utimensat_time64 futimesat getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr "
        "llistxattr flistxattr removexattr lremovexattr fremovexattr flock"
    ),
    "descriptors and pipes; ioctl and fcntl on what is open anyway": (
        "fcntl fcntl64 ioctl dup dup2 dup3 pipe pipe2 eventfd eventfd2 signalfd signalfd4 timerfd_create "
        "timerfd_settime timerfd_settime64 timerfd_gettime timerfd_gettime64"
    ),
    "wait for something": (
        "select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 epoll_ctl "
        "epoll_wait epoll_pwait epoll_pwait2 restart_syscall pause io_setup io_destroy io_submit io_cancel "
        "io_getevents io_pgetevents io_pgetevents_time64"
    ),
    "memory": (
        "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall "
        "membarrier memfd_create"
    ),
    "start, end and signal processes": (
        "fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill rt_sigaction "
        "rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
        "rt_sigtimedwait_time64 sigaltstack sigprocmask sigreturn getpid getppid gettid getpgid getpgrp setpgid "
        "getsid setsid pidfd_open pidfd_send_signal"
    ),
    "threads and what libc does at every start": (
        "arch_prctl prctl set_tid_address get_thread_area set_thread_area set_robust_list get_robust_list rseq "
        "futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue"
    ),
    "a further filter, and debuggers among one's own processes": (
        "seccomp ptrace landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    ),
    "scheduling and limits": (
        "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler "
        "sched_setscheduler sched_get_priority_min sched_get_priority_max sched_rr_get_interval sched_getattr "
        "sched_setattr getpriority setpriority ioprio_get ioprio_set getrlimit ugetrlimit setrlimit prlimit64 "
        "getrusage times getcpu"
    ),
    "who am I; the jail's guard gives up its ids and capabilities with these": (
        "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid "
        "getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 "
        "setresuid setresuid32 setresgid setresgid32 setgroups setgroups32 setfsuid setfsgid capget capset uname "
        "sysinfo getrandom"
    ),
    "time": (
        "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep "
        "clock_nanosleep_time64 nanosleep alarm getitimer setitimer timer_create timer_delete timer_getoverrun "
        "timer_gettime timer_gettime64 timer_settime timer_settime64"
    ),
    "sockets: there is no network but loopback": (
        "socket socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt send "
        "sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown"
    ),
    "shared memory and queues, PostgreSQL's among them": (
        "shmget shmat shmdt shmctl semget semop semctl semtimedop semtimedop_time64 msgget msgsnd msgrcv msgctl "
        "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr"
    ),
}
# What the jail needs beyond that. Inside it no namespace can be made any more unless the spec says `nested`.
JAIL: dict[str, str] = {
    "unshare": "its namespaces",
    "mount": "the new root, its binds, /proc and tmpfs",
    "mount_setattr": "read-only, nosuid and nodev for whole trees",
    "pivot_root": "the new root becomes the root",
    "umount2": "the container's own root is left behind",
    "sethostname": "a host name that says nothing about the host",
}
# What networks of a student's own need beyond that, each in namespaces that they own.
NESTED: dict[str, str] = {"setns": "to run a command in one of them"}
MASKED_PATHS = ("/sys/firmware", "/sys/devices/virtual/powercap")  # what stays covered where /proc may not be
CLONE_NAMESPACES = 0x7E020000  # CLONE_NEW*: namespaces come from unshare alone
PERSONALITIES = (
    0x0,
    0x8,
    0x20000,
    0x20008,
    0xFFFFFFFF,
)  # Linux, a look at the present one: Docker's own list
ENOSYS = 38


def profile(*, nested: bool = False) -> dict[str, Any]:
    """Return the profile in Docker's format, for x86-64 and 64-bit ARM; other numberings are refused.

    nested: labs inside make namespaces of their own.
    """
    further = set(JAIL) | (set(NESTED) if nested else set())
    names = sorted({name for calls in ORDINARY.values() for name in calls.split()} | further)
    rules: list[dict[str, Any]] = [{"names": names, "action": "SCMP_ACT_ALLOW"}]
    for value in PERSONALITIES:
        only = {"index": 0, "value": value, "op": "SCMP_CMP_EQ"}
        rules.append({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [only]})
    plain = {"index": 0, "value": CLONE_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [plain]})
    # clone3's flags lie in memory, where a filter cannot look: "not there" makes libc use clone
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    machines = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [{"architecture": machine, "subArchitectures": []} for machine in machines],
        "syscalls": rules,
    }


def profile_json(*, nested: bool = False) -> str:
    """Return the profile as the Engine's API takes it."""
    return json.dumps(profile(nested=nested))
