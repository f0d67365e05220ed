"""The Lua scripts of the job store, one file each. Times in them are those of Redis's clock."""
