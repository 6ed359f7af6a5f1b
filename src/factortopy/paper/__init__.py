"""Every figure and table of the paper, from shared tokens and fits, its numbers beside ours."""

from factortopy.paper.costs import estimate_items
from factortopy.paper.item import Item
from factortopy.paper.members import TINY_DIFFUSION, Member
from factortopy.paper.numbers import paper_table
from factortopy.paper.plan import StudyPlan
from factortopy.paper.run import ITEMS, Outcome, find_item, run_items
from factortopy.paper.study import Job, Study

__all__ = [
    "ITEMS",
    "TINY_DIFFUSION",
    "Item",
    "Job",
    "Member",
    "Outcome",
    "Study",
    "StudyPlan",
    "estimate_items",
    "find_item",
    "paper_table",
    "run_items",
]
