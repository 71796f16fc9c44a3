"""Execution of work in this process or on Ray."""

from vidrestore.logs import join_log
from vidrestore.process import wait_passively

# A worker of Ray imports this first, before anything that loads torch.
wait_passively()
join_log()
