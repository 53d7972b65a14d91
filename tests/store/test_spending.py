"""A cap on a day holds over all processes: what is reserved counts, also of those who will never settle."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.check import check, salvage
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.forget import forget
from orchestrator_nb.store.spending import PATIENCE_S, Spending

TODAY = 20_700
CENT, DOLLAR = Decimal("0.01"), Decimal(1)


@pytest.fixture
def spending(path, clock):
    database = Database.open(path, clock=clock)
    yield Spending(database)
    database.close()


def reserve(spending, worst, limit=DOLLAR, day=TODAY):
    return spending.reserve(day, Decimal(worst), Decimal(limit)).result(10)


def settle(spending, room, usd):
    spending.settle(room.id, Decimal(usd)).result(10)


def stands(spending, day=TODAY):
    room = spending.so_far(day)
    return room.spent, room.in_flight


def test_what_fits_is_reserved_and_what_does_not_is_told(spending):
    first = reserve(spending, "0.6")
    assert first.id is not None

    second = reserve(spending, "0.5")
    assert (second.id, second.spent, second.in_flight) == (None, 0, Decimal("0.6"))
    assert not second.never(Decimal("0.5"), DOLLAR)  # it may fit when the first turns out cheaper

    settle(spending, first, "0.55")
    assert stands(spending) == (Decimal("0.55"), 0)
    third = reserve(spending, "0.5")
    assert third.id is None
    assert third.never(Decimal("0.5"), DOLLAR)


def test_money_is_exact(spending):
    for _ in range(10):
        settle(spending, reserve(spending, "0.1"), "0.1")
    assert stands(spending) == (DOLLAR, 0)
    assert reserve(spending, "0.0000000001").id is None


def test_settling_twice_counts_once(spending):
    room = reserve(spending, "0.5")
    settle(spending, room, "0.2")
    reserve(spending, "0.1")
    settle(spending, room, "0.2")
    assert stands(spending) == (Decimal("0.2"), Decimal("0.1"))


def test_a_new_day_begins_empty_and_a_late_settlement_counts_for_the_day_it_was_reserved_on(spending):
    late = reserve(spending, "0.9")
    assert reserve(spending, "0.9", day=TODAY + 1).id is not None
    settle(spending, late, "0.8")
    assert stands(spending, TODAY + 1) == (0, Decimal("0.9"))


def test_a_clock_that_was_set_back_frees_nothing(spending):
    settle(spending, reserve(spending, "0.9"), "0.9")
    assert reserve(spending, "0.2", day=TODAY - 1).id is None
    assert reserve(spending, "0.2", day=TODAY - 365).id is None


def test_what_a_dead_process_reserved_counts_as_spent(spending, path, clock):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    database = Database.open(path, clock=clock)
    theirs = Spending(database)
    reserve(theirs, "0.4")
    database.close()
    with sqlite3.connect(path) as store:  # as it would have written it
        from orchestrator_nb.store.rows import seal

        [(number, day, at, owner, usd)] = store.execute("SELECT id, day, at, owner, usd FROM reservations").fetchall()
        owner = f"{owner.rpartition(':')[0]}:{gone.pid}"
        sealed = seal("reservations", number, day, at, owner, usd)
        store.execute("UPDATE reservations SET owner = ?, digest = ?", (owner, sealed))
    store.close()

    assert stands(spending) == (Decimal("0.4"), 0)
    assert reserve(spending, "0.7").never(Decimal("0.7"), DOLLAR)
    assert reserve(spending, "0.6").id is not None


def test_nobody_is_waited_for_longer_than_an_answer_can_take(spending, clock):
    reserve(spending, "0.4")
    clock.now += PATIENCE_S + 1
    assert stands(spending) == (Decimal("0.4"), 0)


def damage(path, table):
    with sqlite3.connect(path) as store:
        store.execute(f"UPDATE {table} SET usd = '0.1'")
    store.close()
    assert check(path).damaged[table] == 1


def test_a_damaged_total_is_an_error_and_not_less(spending, path):
    settle(spending, reserve(spending, "0.5"), "0.5")
    damage(path, "days")
    with pytest.raises(StoreError, match="what today cost is damaged"):
        reserve(spending, "0.1")
    assert stands(spending, TODAY + 1) == (0, 0)


def test_a_damaged_reservation_counts_as_it_was(spending, path):
    room = reserve(spending, "0.5")
    damage(path, "reservations")
    with pytest.raises(StoreError):
        settle(spending, room, "0")
    with pytest.raises(StoreError):
        reserve(spending, "0.6")
    assert reserve(spending, "0.5").id is not None


def test_salvage_brings_the_day_along(spending, path, tmp_path, clock):
    settle(spending, reserve(spending, "0.5"), "0.5")
    reserve(spending, "0.2")
    salvage(path, tmp_path / "new.db", clock=clock)
    database = Database.open(tmp_path / "new.db", clock=clock)
    assert stands(Spending(database)) == (Decimal("0.5"), Decimal("0.2"))
    database.close()


def test_forgetting_keeps_the_day_s_own_total(spending):
    for day in (TODAY - 1, TODAY):
        settle(spending, reserve(spending, "0.5", day=day, limit=5), "0.5")
    forget(spending.database, before=TODAY * 86_400 + 3_600)
    assert stands(spending, 0) == (Decimal("0.5"), 0)


def test_in_memory_it_works_the_same(clock):
    database = Database.open(None, clock=clock)
    spending = Spending(database)
    settle(spending, reserve(spending, "0.5"), "0.5")
    assert stands(spending) == (Decimal("0.5"), 0)
    database.close()


# Four processes at once

SPENDER = """
import asyncio, random, sys, time
from decimal import Decimal
from pathlib import Path

from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.day import Day
from orchestrator_nb.errors import LimitError
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.spending import Spending

path, seed, limit, how, until = sys.argv[1:]
chance, limit, worst = random.Random(int(seed)), Decimal(limit), Decimal("0.01")
database = Database.open(Path(path), clock=SystemClock())
spending = Spending(database)
clock = SystemClock()
day = Day(limit, spending, clock)

async def answered():
    await asyncio.sleep(chance.random() * 0.004)
    return None if chance.random() < 0.05 else worst * chance.randrange(20, 101) / 100

async def careful():
    try:
        held = await day.reserve(worst)
    except LimitError:
        return Decimal(0)
    usd = await answered()
    held.settle(usd)
    return worst if usd is None else usd

async def naive():
    if spending.so_far(day.calendar.today).spent + worst > limit:
        return Decimal(0)
    usd = await answered()
    room = await asyncio.wrap_future(spending.reserve(day.calendar.today, Decimal(0), Decimal(10**6)))
    await asyncio.wrap_future(spending.settle(room.id, worst if usd is None else usd))
    return worst if usd is None else usd

async def all_of_it():
    places = asyncio.Semaphore(50)
    async def one():
        async with places:
            return await (careful() if how == "careful" else naive())
    while time.time() < float(until):
        time.sleep(0.005)
    print(sum(await asyncio.gather(*(one() for _ in range(200)))))

asyncio.run(all_of_it())
database.close()
"""


def spent_by_four(path, how, limit):
    until = str(time.time() + 1.0)
    commands = [[sys.executable, "-c", SPENDER, str(path), str(seed), str(limit), how, until] for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda command: subprocess.run(command, capture_output=True, text=True, check=False, timeout=60), commands))  # fmt: skip
    assert [one.stderr for one in done] == [""] * 4
    return sum(Decimal(one.stdout) for one in done)


@pytest.mark.slow
def test_four_processes_on_one_cap_never_pass_it_and_use_it(path, clock):
    Database.open(path, clock=clock).close()
    limit = Decimal(2)
    spent = spent_by_four(path, "careful", limit)
    assert spent <= limit
    assert spent >= limit * Decimal("0.95")


@pytest.mark.slow
def test_control_four_that_check_and_then_spend_pass_it(path, clock):
    Database.open(path, clock=clock).close()
    assert spent_by_four(path, "naive", Decimal(2)) > 2


def test_where_nobody_can_tell_whether_a_process_lives_it_is_waited_for(spending):
    spending = Spending(spending.database, alive=lambda _pid: None)
    reserve(spending, "0.4")
    assert stands(spending) == (0, Decimal("0.4"))
