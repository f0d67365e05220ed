"""Jobs: many texts at once, worked on in small parcels. A job's state is in Redis, where any gateway finds it."""
