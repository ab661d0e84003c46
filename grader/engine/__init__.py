"""How a submission becomes a report: sanitise, execute in a sandbox, mark. Writes nothing anywhere."""
