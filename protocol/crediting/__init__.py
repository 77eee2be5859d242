"""Grade enterprises by what is on record of them: events, rule sets as versioned data, and the grade, which anybody recomputes."""
