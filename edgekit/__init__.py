"""edgekit: the fastest artifact that is still right on the hardware you have, with the evidence."""
