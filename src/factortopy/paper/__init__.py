"""Every figure and table of the paper, from shared tokens and fits, its numbers beside ours."""

from factortopy.paper.items import ITEMS, find_item
from factortopy.paper.numbers import paper_table
from factortopy.paper.plan import Plan
from factortopy.paper.run import Outcome, run_items
from factortopy.paper.study import Job, Study

__all__ = ["ITEMS", "Job", "Outcome", "Plan", "Study", "find_item", "paper_table", "run_items"]
