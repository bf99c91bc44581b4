"""Small objects of a finished network: a head at stride 4, whose masks are of the network's own prototypes."""
