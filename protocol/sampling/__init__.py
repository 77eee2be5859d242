"""Say how many of a lot are sampled, and which: ISPM 31, ISO 2859-1, rates of checks and their steps, strata, packages.

Guarantees: integers and fractions only, so that every verifier gets the same number; what no rule covers is refused by name, never
rounded in anybody's favour. What was not checked against a printed source is marked unverified. Pure: anybody may import it.
"""
