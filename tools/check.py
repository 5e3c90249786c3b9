#!/usr/bin/env python3
"""check.py SANITIZED-BUILD RELEASE-BUILD [building]: runs the C tests and the end-to-end tests, and sums up.

With `building` the first build is still being made; a line "built" on standard input says that it is there."""
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor, as_completed

sanitized, release = (os.path.abspath(p) for p in sys.argv[1:3])
top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
environment = dict(
    os.environ,
    ASAN_OPTIONS="abort_on_error=1:detect_leaks=1:allocator_may_return_null=1",
    UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
    CMOCKA_MESSAGE_OUTPUT="STDOUT",
)
# Programs or files at a time, beside the machine's: more of them (three on two cores) take two minutes less, and have tests meet the limits of their patience.
LANES = max(2, min(os.cpu_count() or 1, 4))
# These start an edge or a keeper with processes of their own, and wait for them by the clock: one after the other, in one lane.
IN_TURN = {"test_keeper", "test_launch", "test_edge_nginx", "test_edge_keeping", "test_edge_apache", "test_edge_apache_keeping", "test_relay", "test_supply", "test_helper_users"}
# What takes long comes first, so that no lane is left with it at the end.
LONGEST = [
    *("test_faults_helper.py", "test_minitwit.py", "test_sleep.py", "test_switch.py", "test_review.py", "test_faults.py", "test_crash_switch.py", "test_hostile.py"),
    *("test_limits.py", "test_alerts.py", "test_github.py", "test_bad_release.py", "test_lifecycle.py", "test_own_certificates.py", "test_rabbitmq.py"),
    *("test_switch_tls.py", "test_look.py", "test_notify.py", "test_overload.py", "test_certificates.py", "test_lock.py", "test_tree.py", "test_kill.py"),
    *("test_journal", "test_engine_sim", "test_api_work", "test_intake", "test_store_shared", "test_rabbitmq", "fuzz_archive", "test_observe", "fuzz_hook_event", "test_alloc_fault"),
]
times = []  # (seconds, name)
passed = failed = skipped = 0


def may_skip():
    """tests/skips: what may be skipped. Anything else that is skipped is a failure."""
    with open(os.path.join(top, "tests/skips"), encoding="utf-8") as f:
        return {line.split("|")[0].strip() for line in f if line.strip() and not line.startswith("#")}


def count_skip(name):
    global failed, skipped
    if {name, name.split(".")[0], name.split("[")[0]} & may_skip():
        skipped += 1
    else:
        failed += 1
        print(f"FAIL {name} was skipped, and is not in tests/skips", flush=True)


def in_own_namespaces(*command):
    """As root each runs in namespaces of its own, so that two at a time know nothing of each other; and the environment for it."""
    own = [os.path.join(top, "tools/in-namespace")] if os.geteuid() == 0 else []
    return [*own, *command], {k: v for k, v in environment.items() if k != "SLIPWAY_NAMESPACE"}


def run_c_test(name):
    command, outside = in_own_namespaces(os.path.join(sanitized, "tests", name))
    started = time.monotonic()
    try:
        result = subprocess.run(command, env=outside, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, cwd=top)
        output, code = (result.stdout + result.stderr).decode(errors="replace"), result.returncode
    except subprocess.TimeoutExpired as error:
        output, code = ((error.stdout or b"") + (error.stderr or b"")).decode(errors="replace") + "\ntimed out after 300 s", 1
    return name, time.monotonic() - started, output, code


def count_c_test(name, seconds, output, code):
    """Each test program counts its own cases: cmocka prints one line per case."""
    global passed, failed
    times.append((seconds, name))
    good, bad = len(re.findall(r"^\[       OK \]", output, re.M)), len(set(re.findall(r"^\[  FAILED  \] (\w+)$", output, re.M)))
    if code != 0 and bad == 0:
        bad = 1
    for case in sorted(set(re.findall(r"^\[  SKIPPED \] (\w+)$", output, re.M))):
        count_skip(f"{name}.{case}")
    passed += good
    failed += bad
    print(f"{'ok  ' if code == 0 else 'FAIL'} {name}: {good} passed" + (f", {bad} failed" if bad else ""), flush=True)
    if code != 0:
        print("\n".join(output.splitlines()[-60:]), flush=True)


def longest_first(names):
    return sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))


def run_c_tests(pool):
    listing = subprocess.run([os.path.join(top, "tools/list-tests"), os.path.join(top, "tests")], check=True, capture_output=True, text=True).stdout
    names = [line.split(":")[0] for line in listing.splitlines()]
    in_turn = pool.submit(lambda: [run_c_test(n) for n in names if n in IN_TURN])
    for result in as_completed([pool.submit(run_c_test, n) for n in longest_first(names) if n not in IN_TURN]):
        count_c_test(*result.result())
    for result in in_turn.result():
        count_c_test(*result)


def run_end_to_end_file(path):
    name = os.path.basename(path).removesuffix(".py")
    report = os.path.join(sanitized, f"e2e-{name}.xml")
    if os.path.exists(report):
        os.remove(report)
    command, outside = in_own_namespaces("/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--junitxml", report, path)
    outside |= {"SLIPWAY_BUILD": release, "SLIPWAY_SANITIZED": sanitized, "PYTHONDONTWRITEBYTECODE": "1"}
    started = time.monotonic()
    try:
        result = subprocess.run(command, cwd=top, env=outside, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2400)
        output, code = result.stdout.decode(errors="replace"), result.returncode
    except subprocess.TimeoutExpired as error:
        output, code = (error.stdout or b"").decode(errors="replace") + "\ntimed out after 2400 s", 1
    return name, time.monotonic() - started, output, code, report


def count_end_to_end_file(name, seconds, output, code, report):
    global passed, failed
    good = bad = 0
    if os.path.exists(report):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            times.append((float(case.get("time", "0")), case.get("classname", "") + "." + case.get("name", "")))
            kinds = {child.tag for child in case}
            if kinds & {"failure", "error"}:
                bad += 1
            elif "skipped" in kinds:
                count_skip((case.get("classname", "") + "." + case.get("name", "")).strip(".").removeprefix("tests.e2e.").removeprefix("tests.machine."))
            else:
                good += 1
    if code not in (0, 5) and bad == 0:  # 5: nothing was collected
        bad = 1
    passed += good
    failed += bad
    print(f"{'ok  ' if not bad else 'FAIL'} {name}: {good} passed" + (f", {bad} failed" if bad else "") + f" in {seconds:.0f} s", flush=True)
    if bad:
        print(output, flush=True)


def start_end_to_end(pool, folder):
    """A file at a time in each lane of the pool."""
    files = [f for f in sorted(os.listdir(os.path.join(top, "tests", folder))) if re.fullmatch(r"test_\w+\.py", f)]
    return [pool.submit(run_end_to_end_file, os.path.join(top, "tests", folder, f)) for f in longest_first(files)]


if os.geteuid() == 0 and os.environ.get("SLIPWAY_NAMESPACE") != "inside":
    os.execv(os.path.join(top, "tools/in-namespace"), ["in-namespace", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(LANES) as lanes:
    files = start_end_to_end(beside, "machine")
    if sys.argv[3:] == ["building"] and sys.stdin.readline() != "built\n":
        print("the build failed\n0 passed, 1 failed, 0 skipped", flush=True)
        os._exit(1)  # nobody waits for the machine: it ends with this namespace
    run_c_tests(lanes)
    files += start_end_to_end(lanes, "e2e")
    for result in as_completed(files):
        count_end_to_end_file(*result.result())
print("\nthe ten slowest:")
for seconds, name in sorted(times, reverse=True)[:10]:
    print(f"  {seconds:6.1f} s  {name}")
print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
