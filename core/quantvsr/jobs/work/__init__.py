"""What the jobs do, stage by stage. Loads torch: jobs import it only when they run."""
