"""Share a sample out over the parts of a mixed consignment, in proportion to their sizes (largest remainder).

Guarantees: the parts add up to the sample, none gets more than it has, and each is within one unit of its exact share; whatever the
order in which parts are named, the result is the same.
"""

from collections.abc import Mapping

from protocol.errors import MalformedError


def allocate(sizes: Mapping[str, int], sample: int) -> dict[str, int]:
    """Give how many units each part gives; of equal remainders the first by name goes before.

    Raises MalformedError for a part of less than nought units and for a sample that is not within nought and the whole.
    """
    total = sum(sizes.values())
    if any(size < 0 for size in sizes.values()):
        raise MalformedError("a part has less than 0 units", where="strata")
    if not 0 <= sample <= total:
        raise MalformedError(f"{sample} is not within 0 to {total}", where="sample")
    if sample == 0:
        return dict.fromkeys(sorted(sizes), 0)
    shares = {name: divmod(sample * sizes[name], total) for name in sorted(sizes)}
    left = sample - sum(whole for whole, _ in shares.values())
    first = set(sorted(shares, key=lambda name: (-shares[name][1], name))[:left])
    return {name: whole + (name in first) for name, (whole, _) in shares.items()}
