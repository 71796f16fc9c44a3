"""Many films, or long ones, on one machine or many: planned, journalled, resumed and reported."""
