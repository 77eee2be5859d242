"""Check how goods, boxes and ships are named: container numbers, ship numbers, tariff codes.

Guarantees: a number that passes has the check digit its standard demands; nothing is corrected or guessed. Pure: anybody may import it.
"""

from protocol.goods.containers import check_container
from protocol.goods.tariff import check_hs
from protocol.goods.vessels import check_imo

__all__ = ["check_container", "check_hs", "check_imo"]
