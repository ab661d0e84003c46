"""From a submission to a mark."""
