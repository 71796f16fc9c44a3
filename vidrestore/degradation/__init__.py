"""Damage to whole videos as archives have it, so that a restorer can be measured against the truth."""
