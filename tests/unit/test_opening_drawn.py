"""Which boxes and packages are opened follows from the draw's seed and what was declared, and from nothing else."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.inspection.fieldwork.opening import opened, packages_in

SEED = bytes(range(32))


def form(boxes: int, *lines: tuple[int, tuple[int, ...]]) -> dict[str, Any]:
    names = [f"BOX{number}" for number in range(boxes)]
    goods = [{"packages": count, "containers": [names[at] for at in where]} for count, where in lines]
    return {"containers": [{"number": name} for name in names], "goods": goods}


def test_packages_are_shared_among_a_lines_boxes() -> None:
    found = packages_in(**{name: form(3, (10, (0, 1)), (5, (2,)), (7, ()))[name] for name in ("containers", "goods")})
    assert found == {"BOX0": 5 + 3, "BOX1": 5 + 2, "BOX2": 5 + 2}


def test_the_seed_decides_and_the_figures_are_those_of_ispm_31() -> None:
    declared = form(40, (960, tuple(range(40))))
    found = opened(SEED, "D-1", declared)
    assert len(found) == 6  # 57 packages of 960 at 5 % and 95 %: one box for each ten of them
    assert sum(len(one.packages) for one in found) == 57
    assert opened(SEED, "D-1", declared) == found != opened(SEED[::-1], "D-1", declared)
    assert [one.packages for one in opened(None, "D-1", form(2, (9, (0, 1))))] == [(), ()]


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(1, 3000), st.lists(st.integers(0, 29), unique=True, max_size=5)), max_size=6))
def test_no_more_is_taken_than_there_is(boxes: int, lines: list[tuple[int, list[int]]]) -> None:
    declared = form(boxes, *((count, tuple(at for at in where if at < boxes)) for count, where in lines))
    counts = packages_in(declared["containers"], declared["goods"])
    for one in opened(SEED, "D-1", declared):
        assert all(1 <= number <= counts[one.container] for number in one.packages)
        assert len(set(one.packages)) == len(one.packages)
