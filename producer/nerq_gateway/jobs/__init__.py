"""Jobs: many texts at once, worked on in small parcels. All of a job's state is in Redis, where any gateway finds it."""
