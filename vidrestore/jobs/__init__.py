"""Jobs: videos restored on one node or many; planned, journalled, resumed and reported."""
