"""S7: what the monitor may cost, read from the program as it is built: the lines that it links but those of libc and base/, its text, the symbols that
it takes from libc, the calls that its filter lets through (its coverage: tools/monitor-coverage)."""
import re
import shutil
import subprocess

from harness import BUILD, TOP

PROGRAM = BUILD / "src" / "slipway-monitor"
LINES_MOST, TEXT_MOST, CALLS_MOST = 1500, 64 << 10, 40
START = {"__libc_start_main", "__cxa_finalize", "__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__stack_chk_fail", "abort"}
TEXTS = {
    "memchr", "memcmp", "memcpy", "memmem", "memmove", "memset", "strchr", "strcmp", "strlen", "strncmp", "snprintf", "vsnprintf", "strerror_r", "__errno_location",
    "__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk", "__xpg_strerror_r",
}
MESSAGES = {"poll", "accept4", "getsockopt", "setsockopt", "socketpair", "recv", "recvmsg", "sendmsg", "close", "fcntl64", "fstat64", "pread64"}
LOG_AND_END = {"clock_gettime", "gmtime_r", "write", "_exit"}
BEFORE = {"prctl", "capset", "geteuid", "tzset", "fwrite", "fputs", "stdout", "stderr"}  # before its filter is there
# base/io.c's table of what files are reached by: linked with the clock, never called, and behind the filter the end of whoever does.
TABLE = {"openat64", "read", "pwrite64", "fdatasync", "fsync", "renameat", "unlinkat", "fstatvfs64", "getrandom", "syscall"}
NEVER = re.compile(r"malloc|calloc|realloc|free|getenv|setlocale|dlopen|exec|fork|system|popen|socket$|connect|bind")


def linked_sources():
    """As the debugger's data tell: one unit for each file that was linked."""
    text = subprocess.run(["readelf", "--debug-dump=info", "--dwarf-depth=1", PROGRAM], capture_output=True, text=True, check=True).stdout
    return sorted({m.group(1) for m in re.finditer(r"DW_AT_name.*?(src/[a-z_/]+\.c)$", text, re.M)})


def test_lines():
    sources = linked_sources()
    own = [s for s in sources if not s.startswith("src/base/")]
    assert "src/monitor/pass.c" in own and "src/base/log.c" in sources, sources
    formatter = shutil.which("clang-format")
    lines = {}
    for s in own:
        text = (TOP / s).read_text()
        if formatter:
            text = subprocess.run([formatter, f"--assume-filename={TOP / s}"], input=text, capture_output=True, text=True, check=True).stdout
        lines[s] = text.count("\n")
    print(f"monitor: {sum(lines.values())} lines{'' if formatter else ' as they are, without clang-format'}: {lines}")
    assert sum(lines.values()) <= LINES_MOST, lines


def test_text():
    sections = subprocess.run(["readelf", "-SW", PROGRAM], capture_output=True, text=True, check=True).stdout
    text = int(re.search(r" \.text +PROGBITS +\S+ +\S+ +([0-9a-f]+)", sections).group(1), 16)
    print(f"monitor: {text} bytes of text")
    assert text <= TEXT_MOST


def test_symbols():
    names = subprocess.run(["nm", "-D", "--undefined-only", PROGRAM], capture_output=True, text=True, check=True).stdout
    taken = {line.split()[-1].split("@")[0] for line in names.splitlines()}
    assert taken <= START | TEXTS | MESSAGES | LOG_AND_END | BEFORE | TABLE, taken - (START | TEXTS | MESSAGES | LOG_AND_END | BEFORE | TABLE)
    assert not [t for t in taken if NEVER.search(t)]
    assert not NEVER.search("openat64") and NEVER.search("__libc_malloc") and NEVER.search("execve") and NEVER.search("socket")  # the control
    libraries = subprocess.run(["readelf", "-dW", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", libraries) == ["libc.so.6"]


def test_calls():
    """Of the source: what a sanitizer needs besides stands behind its own condition. That no other gets through: tests/unit/test_monitor.c."""
    text = (TOP / "src/monitor/filter.c").read_text()
    table = text[text.index("calls[] = {"):text.index("#ifdef SANITIZED")]
    calls = set(re.findall(r"SYS_\w+", table))
    print(f"monitor: {len(calls)} system calls")
    assert 10 < len(calls) <= CALLS_MOST
    assert not calls & {f"SYS_{c}" for c in ("open", "openat", "openat2", "execve", "execveat", "fork", "vfork", "clone", "clone3", "kill", "socket", "connect", "ptrace", "ioctl", "mmap")}
