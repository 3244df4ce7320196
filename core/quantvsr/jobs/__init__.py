"""What a user can ask for. Importing this package registers all jobs and loads no torch."""
