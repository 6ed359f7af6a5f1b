"""Costs add up: time and disk of one piece of work after the other, memory of the largest."""

from factortopy.machine import Cost


def test_costs_of_work_one_after_the_other_add_up():
    first = Cost(10, 3e9, 5e6, facts={"voxels": "30"})
    second = Cost(2, 4e9, 1e6, device_memory=7e9, temporary=9e6, facts={"images": "8"})
    assert first + second == Cost(12, 4e9, 6e6, 7e9, 9e6, {"voxels": "30", "images": "8"})
    assert sum([first, second, first], Cost()).seconds == 22


def test_a_cost_that_comes_several_times():
    assert 3 * Cost(10, 3e9, 5e6) == Cost(30, 3e9, 15e6)
    assert 0 * Cost(10, 3e9, 5e6) == Cost()
