"""The benchmark's own reckoning: what wrk tells, CPU time, the load's numbers, tables and plots. Nothing is loaded or installed."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from tests.benchmarks import machine, plots, scaling, tables
from tests.benchmarks.axes import Axis
from tests.benchmarks.load import Round, Told, cpu, lua, parsed
from tests.benchmarks.work import ALL, BARE, CLICK, CLICKS, DAY, EXPRESS, NATIVE, SALE, SERVICE, TEXT, chosen

TOLD = """Running 1s test @ http://127.0.0.1:8080/v1/visitors
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.02ms   12.12ms 102.58ms   95.05%
    Req/Sec     5.57k     1.42k    6.43k    90.00%
  Latency Distribution
     50%  870.00us
     75%    5.42ms
     90%    9.28ms
     99%    1.25s
  5560 requests in 1.01s, 0.95MB read
Requests/sec:   5526.17
Transfer/sec:      0.94MB
"""


def rounds(rate: float, cpu_micros: float) -> list[Round]:
    return [Round(Told(1_000, rate * factor, 1.0, 9.0), cpu_micros, 5.0, 1_000 * factor) for factor in (1.0, 0.1, 1.1)]


def test_what_wrk_tells_is_read_in_milliseconds() -> None:
    assert parsed(TOLD) == Told(5560, 5526.17, 0.87, 1250.0)


@pytest.mark.parametrize("fault", ["  Non-2xx or 3xx responses: 7", "  Socket errors: connect 0, read 2, write 0, timeout 0"])
def test_a_round_with_errors_is_worth_nothing(fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parsed(f"{TOLD}{fault}\n")


def test_a_round_without_an_answer_is_worth_nothing() -> None:
    with pytest.raises(ValueError, match="0 requests"):
        parsed(TOLD.replace("5560 requests", "0 requests"))


def test_the_cpu_time_of_a_process_holds_that_of_its_children_living_and_ended() -> None:
    burn = "import os\nwhile sum(os.times()[:2]) < 0.3: pass"
    ended = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    living = (
        f"child = subprocess.Popen([sys.executable, '-c', {burn + chr(10) + 'print(1, flush=True); input()'!r}], stdin=subprocess.PIPE)"
    )
    family = f"{ended}; {living}; input()"
    with subprocess.Popen([sys.executable, "-c", family], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.55 < cpu(process.pid) < 3
        process.kill()
    assert cpu(os.getpid()) > 0


def test_requests_that_store_have_numbers_of_their_own_and_no_two_rounds_share_one() -> None:
    first, second = lua(SALE, ""), lua(SALE, "")
    assert "gsub" in first
    assert first != second
    assert lua(CLICK, "") == lua(CLICK, "")
    assert "wrk.method = 'GET'" in lua(NATIVE, "")
    assert "math.random(500) - 1" in lua(replace(SALE, among=500), "")


def test_a_mixed_day_has_its_shares_and_its_numbers() -> None:
    assert sum(share for share, _ in DAY.mix) == 100
    told = lua(DAY, "")
    assert [int(share) for share in re.findall(r"for _ = 1, (\d+) do", told)] == [share for share, _ in DAY.mix]
    assert told.count("math.random(10000) - 1") == 2
    assert told != lua(DAY, "")


def test_a_busy_machine_gets_no_table() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            assert machine.in_use() > machine.MOST_OTHER
            with pytest.raises(SystemExit, match="The machine is busy"):
                machine.demand_rest()
        finally:
            process.kill()


def test_work_is_chosen_by_name_beside_its_measure() -> None:
    assert chosen([]) == list(ALL)
    assert chosen(["click", "new, with"]) == [TEXT, CLICK, CLICKS, SALE]


def test_the_table_gives_medians_ratios_round_by_round_and_what_is_left_out() -> None:
    results = {(TEXT.name, BARE): rounds(1_000, 50), ("log/click", SERVICE): rounds(100, 400), ("log/click", EXPRESS): rounds(200, 200)}
    told = tables.table(results, {"nginx": "not asked for"}, {SERVICE: "CPython 3.11.2"}, "two cores").splitlines()
    assert told[:3] == ["service: CPython 3.11.2.", "two cores.", ""]
    table = told[3:]
    assert table[0].count("|") == table[1].count("|")
    assert table[3] == "| log/click | service | 100 | 0.10 | 1.00 | 400 (400–400) | 5 | 1.0 | 9.0 |"
    assert table[4] == "| log/click | Express | 200 | 0.20 | 2.00 | 200 (200–200) | 5 | 1.0 | 9.0 |"
    assert table[-1] == "nginx is left out: not asked for."


def test_the_plot_is_svg_with_a_bar_for_each_row() -> None:
    drawn = ElementTree.fromstring(tables.plot({("a < b", SERVICE): rounds(100, 400), ("a < b", EXPRESS): rounds(200, 200)}))
    bars = [float(bar.get("width", "0")) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if bar.get("x")]
    assert bars == [tables.WIDTH, tables.WIDTH / 2]


def test_growth_is_told_beside_the_first_amount_of_the_same_work() -> None:
    results = {("link", 1.0): rounds(100, 40), ("link", 2.0): rounds(100, 85), ("erase", 1.0): rounds(10, 400)}
    lines = scaling.table(Axis("Title", "links", []), results).splitlines()
    assert lines[2].count("|") == lines[3].count("|")
    assert [line.split("|")[2].strip() for line in lines[4:]] == ["1", "2", "1"]
    assert [line.split("|")[-2].strip() for line in lines[4:]] == ["1.00", "2.00", "1.00"]


def test_a_curve_rises_where_its_cost_grows_and_is_level_where_it_does_not() -> None:
    drawn = ElementTree.fromstring(plots.curves("a < b", "links", {"grows": {1: 10, 10: 20, 100: 40}, "flat": {1: 20, 100: 20}}))
    grows, flat = (
        [tuple(map(float, place.split(","))) for place in line.get("points", "").split()]
        for line in drawn.iter("{http://www.w3.org/2000/svg}polyline")
    )
    assert [x for x, _ in grows] == [plots.LEFT, plots.LEFT + plots.WIDTH / 2, plots.LEFT + plots.WIDTH]
    assert grows[0][1] > grows[1][1] > grows[2][1]
    assert flat[0][1] == flat[1][1]
