"""What people see: the files and pages of results."""
