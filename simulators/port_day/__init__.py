"""A port's day in virtual time: a real hub in this process, a clock that is told, boxes, traders, inspectors and partners by seed."""
